// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/oci-secrets/oci-secrets/test/rig"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

// lab is what the faults share: a Vault that works.
type lab struct {
	*vaulttest.Server
	value string
}

// site is the lab as one fault of one way has it.
type site struct {
	*lab
	Host
	own *vaulttest.Server // see own
}

// The mount of the secret, and its variable.
const (
	mount    = "secret"
	variable = "SECRET"
)

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{vaulttest.Start(t, vaulttest.Options{}), rig.Canary()}
	l.fill(t, l.Server)
	return l
}

// fill gives a server the secret, and a policy to read it.
func (l *lab) fill(t *testing.T, v *vaulttest.Server) {
	t.Helper()
	v.Mount(t, mount, 2)
	v.Put(t, 2, mount, "db", map[string]any{variable: l.value})
	v.Put(t, 2, mount, "private", map[string]any{variable: l.value})
	v.Policy(t, "reader", `path "secret/data/db" { capabilities = ["read"] }
path "secret/data/gone" { capabilities = ["read"] }
path "secret/data/absent" { capabilities = ["read"] }`)
}

func (l *lab) has(env []string) bool {
	v, times := rig.Value(env, variable)
	return v == l.value && times == 1
}

func (l *lab) in(text string) bool {
	return strings.Contains(text, l.value) || strings.Contains(text, "hvs.")
}

// appRole makes an AppRole for one fault, with its own mount, and gives the
// table [vault.auth] for it. The secret id is in the file secret-id.
func (s *site) appRole(t *testing.T, v *vaulttest.Server) string {
	t.Helper()
	at := "approle-" + strings.ToLower(rig.Canary()[:12])
	roleID, secretID := v.AppRole(t, at, "web", "reader")
	rig.WriteFile(t, filepath.Join(s.Dir(), "secret-id"), secretID, 0o600)
	return fmt.Sprintf("[vault.auth]\nmethod = \"approle\"\nmount = %q\nrole_id = %q\nsecret_id_file = \"secret-id\"\n", at, roleID)
}

// works are settings that work.
func (s *site) works(t *testing.T) string {
	t.Helper()
	return s.vault(s.Address, s.CAFile) + s.appRole(t, s.Server)
}

// vault is the table [vault], for an address.
func (*lab) vault(address, ca string) string {
	return fmt.Sprintf("[vault]\naddress = %q\nca_cert = %q\n", address, ca)
}

// fake are settings for a server that is none of Vault's. It takes any token.
func (*lab) fake(address string) string {
	return fmt.Sprintf("[vault]\naddress = %q\n[vault.auth]\nmethod = \"token\"\ntoken = \"any-token\"\n", address)
}

func itoa(n int) string { return strconv.Itoa(n) }
