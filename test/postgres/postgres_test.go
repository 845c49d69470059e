// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"slices"
	"testing"
	"time"
)

func TestRoles(t *testing.T) {
	s := Start(t)
	if roles := s.Roles(t); len(roles) != 0 {
		t.Errorf("a new server has %q", roles)
	}
	s.Exec(t, `create role web login password 'first'`)
	s.WaitRole(t, "web", true, time.Second)
	if !slices.Equal(s.Roles(t), []string{"web"}) || !s.HasRole(t, "web") || s.HasRole(t, "we") {
		t.Errorf("%q", s.Roles(t))
	}
	if err := s.Login(t, "web", "first"); err != nil {
		t.Error(err)
	}
	if s.Login(t, "web", "second") == nil || s.Login(t, "nobody", "first") == nil {
		t.Error("anybody can log in")
	}
	s.Exec(t, `drop role web`)
	s.WaitRole(t, "web", false, time.Second)
	if s.Login(t, "web", "first") == nil {
		t.Error("the role is gone and can log in")
	}
}
