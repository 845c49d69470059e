// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

func TestQuota(t *testing.T) {
	s := Start(t, Options{})
	s.Mount(t, "kv", 1)
	s.Mount(t, "other", 1)
	for _, mount := range []string{"kv", "other"} {
		s.Put(t, 1, mount, "a", map[string]any{"N": "1"})
	}
	read := func(path string) (*api.Response, error) {
		return s.Client.Logical().ReadRawWithContext(t.Context(), path)
	}
	lift := s.Quota(t, "kv", 1, time.Minute)
	if _, err := read("kv/a"); err != nil {
		t.Errorf("the first: %v", err)
	}
	r, err := read("kv/a")
	var refused *api.ResponseError
	if !errors.As(err, &refused) || refused.StatusCode != http.StatusTooManyRequests {
		t.Fatalf("the second: %v", err)
	}
	if r.Header.Get("Retry-After") == "" {
		t.Errorf("no Retry-After: %v", r.Header)
	}
	if _, err := read("other/a"); err != nil {
		t.Errorf("another mount: %v", err)
	}
	lift()
	if _, err := read("kv/a"); err != nil {
		t.Errorf("lifted: %v", err)
	}
	s.Quota(t, "", 1, 0) // lifted by the test's end, throttled or not
}
