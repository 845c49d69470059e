// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/test/postgres"
)

// A lease is a user of the database: until it is revoked, or has expired.
func TestDatabase(t *testing.T) {
	s, db := Start(t, Options{}), postgres.Start(t)
	s.Database(t, "database", "web", db, time.Minute, time.Hour)
	s.Database(t, "database", "short", db, time.Second, time.Hour)
	read := func(role string) (leaseID, user, password string) {
		t.Helper()
		var err error
		calls := s.Calls(t, func() {
			secret, e := s.Client.Logical().ReadWithContext(t.Context(), "database/creds/"+role)
			if err = e; err == nil {
				leaseID, user, password = secret.LeaseID, secret.Data["username"].(string), secret.Data["password"].(string)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(calls) != 1 || calls[0].MountType != "database" || calls[0].LeaseID == "" {
			t.Errorf("%+v", calls)
		}
		return leaseID, user, password
	}

	lease, user, password := read("web")
	if err := db.Login(t, user, password); err != nil {
		t.Error(err)
	}
	until := func() string { return db.Exec(t, "select rolvaliduntil from pg_roles where rolname = '"+user+"'") }
	first := until()
	if _, err := s.Client.Sys().RenewWithContext(t.Context(), lease, 600); err != nil {
		t.Error(err)
	}
	if second := until(); second <= first {
		t.Errorf("the user is good until %s, renewed until %s", first, second)
	}
	if err := s.Client.Sys().RevokeWithContext(t.Context(), lease); err != nil {
		t.Error(err)
	}
	db.WaitRole(t, user, false, 10*time.Second)

	_, user, _ = read("short")
	db.WaitRole(t, user, false, 20*time.Second)
	if roles := db.Roles(t); len(roles) != 0 {
		t.Errorf("%q are left", roles)
	}
}
