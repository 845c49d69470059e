// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/oci-secrets/oci-secrets/test/postgres"
)

// Database mounts the database engine, if it is not, and makes a role whose
// credentials, read from mount/creds/role, are users of the PostgreSQL server.
// It is a plugin, which test/setup/vaultplugin.sh builds.
// A user can log in until its lease's end, which a renewal moves, also if Vault
// is not there to drop it.
func (s *Server) Database(t testing.TB, mount, role string, db *postgres.Server, defaultTTL, maxTTL time.Duration) {
	t.Helper()
	const plugin = "postgresql-database-plugin"
	mounts, err := s.Client.Sys().ListMountsWithContext(t.Context())
	if err != nil {
		t.Fatalf("list mounts: %v", err)
	}
	if mounts[mount+"/"] == nil {
		s.plugin(t, "postgresql", "database", plugin)
		if err := s.Client.Sys().MountWithContext(t.Context(), mount, &api.MountInput{Type: "database"}); err != nil {
			t.Fatalf("mount %s: %v", mount, err)
		}
		s.Write(t, mount+"/config/postgres", map[string]any{
			"plugin_name": plugin, "allowed_roles": []string{"*"},
			"connection_url": "postgresql://{{username}}:{{password}}@" + db.Address + "/postgres?sslmode=disable",
			"username":       "postgres", "password": db.Password,
			"password_authentication": "scram-sha-256",
		})
	}
	s.Write(t, mount+"/roles/"+role, map[string]any{
		"db_name": "postgres", "default_ttl": defaultTTL.String(), "max_ttl": maxTTL.String(),
		"creation_statements":   []string{`CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`},
		"renew_statements":      []string{`ALTER ROLE "{{name}}" VALID UNTIL '{{expiration}}'`},
		"revocation_statements": []string{`DROP ROLE IF EXISTS "{{name}}"`},
	})
}
