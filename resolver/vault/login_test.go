// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/vault"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

func TestNew(t *testing.T) {
	good := vault.Config{
		Addresses: []string{"https://vault.example:8200"}, Auth: vault.Auth{Method: "token", Token: resolver.NewValue("hvs.x")},
	}
	for name, tt := range map[string]struct {
		edit func(*vault.Config)
		text string // "" for no error
	}{
		"good":              {func(*vault.Config) {}, ""},
		"slashes":           {func(c *vault.Config) { c.Mount, c.Prefix = "/team/kv/", "/a/b/" }, ""},
		"base path":         {func(c *vault.Config) { c.Addresses = []string{"https://host/vault"} }, ""},
		"no address":        {func(c *vault.Config) { c.Addresses = []string{""} }, "no address"},
		"no scheme":         {func(c *vault.Config) { c.Addresses = []string{"vault.example:8200"} }, `write it as "https://vault.example:8200"`},
		"API's address":     {func(c *vault.Config) { c.Addresses = []string{"https://host:8200/v1/"} }, "take /v1 away"},
		"other scheme":      {func(c *vault.Config) { c.Addresses = []string{"ftp://vault.example"} }, "not an http, https or unix URL"},
		"one of two":        {func(c *vault.Config) { c.Addresses = append(c.Addresses, "b:8200") }, "address 2 of 2 is not an http, https or unix URL"},
		"none of two":       {func(c *vault.Config) { c.Addresses = append(c.Addresses, "") }, "address 2 of 2 is not an http, https or unix URL"},
		"IPv6, bare":        {func(c *vault.Config) { c.Addresses = []string{"https://2001:db8::1:8200"} }, `as "https://[2001:db8::1]:8200"`},
		"port":              {func(c *vault.Config) { c.Addresses = []string{"https://host:82000"} }, "https://host:82000: a port is a number"},
		"port 0":            {func(c *vault.Config) { c.Addresses = []string{"https://[::1]:0"} }, "a port is a number"},
		"port left out":     {func(c *vault.Config) { c.Addresses = []string{"https://host:"} }, ""},
		"http":              {func(c *vault.Config) { c.Addresses = []string{"http://vault.example:8200"} }, "write the address with https://"},
		"HTTP":              {func(c *vault.Config) { c.Addresses = []string{"HTTP://10.0.0.1"} }, "http://10.0.0.1 would send the token over the network in clear"},
		"http, a trick":     {func(c *vault.Config) { c.Addresses = []string{"http://127.0.0.1.example"} }, "in clear"},
		"http, another":     {func(c *vault.Config) { c.Addresses = []string{"http://localhost.example"} }, "in clear"},
		"http, any address": {func(c *vault.Config) { c.Addresses = []string{"http://0.0.0.0:8200"} }, "in clear"},
		"http, IPv6":        {func(c *vault.Config) { c.Addresses = []string{"http://[2001:db8::1]:8200"} }, "in clear"},
		"loopback":          {func(c *vault.Config) { c.Addresses = []string{"http://127.0.0.1:8200"} }, ""},
		"loopback's net":    {func(c *vault.Config) { c.Addresses = []string{"http://127.9.9.9"} }, ""},
		"loopback, IPv6":    {func(c *vault.Config) { c.Addresses = []string{"http://[::1]:8200"} }, ""},
		"loopback's name":   {func(c *vault.Config) { c.Addresses = []string{"http://Localhost:8200"} }, ""},
		"unix":              {func(c *vault.Config) { c.Addresses = []string{"unix:///run/vault.sock"} }, ""},
		"unix, relative":    {func(c *vault.Config) { c.Addresses = []string{"unix://run/vault.sock"} }, "not unix:// and an absolute path"},
		"unix, abstract":    {func(c *vault.Config) { c.Addresses = []string{"unix:@vault"} }, "not unix:// and an absolute path"},
		"unix, no path":     {func(c *vault.Config) { c.Addresses = []string{"unix:///"} }, "not unix:// and an absolute path"},
		"unix, not cleaned": {func(c *vault.Config) { c.Addresses = []string{"unix:///run/../vault.sock"} }, "not unix:// and an absolute path"},
		"unix, query":       {func(c *vault.Config) { c.Addresses = []string{"unix:///run/vault.sock?x"} }, "not unix:// and an absolute path"},
		"none, elsewhere":   {func(c *vault.Config) { c.Auth = vault.Auth{Method: "none"} }, "for an agent on this machine"},
		"none, one of them": {func(c *vault.Config) {
			c.Addresses, c.Auth = append(c.Addresses, "unix:///run/vault.sock"), vault.Auth{Method: "none"}
		}, "for an agent on this machine"},
		"none, TLS": {func(c *vault.Config) {
			c.Addresses, c.Auth = []string{"https://localhost:8200"}, vault.Auth{Method: "none"}
		}, ""},
		"none, with a token": {
			func(c *vault.Config) { c.Addresses, c.Auth.Method = []string{"unix:///run/vault.sock"}, "none" },
			"auth method none does not use token",
		},
		"proxy":             {func(c *vault.Config) { c.Proxy = "http://proxy.example:3128/" }, ""},
		"proxy, a name":     {func(c *vault.Config) { c.Proxy = "proxy.example:3128" }, `write it as "http://proxy.example:3128"`},
		"proxy, TLS":        {func(c *vault.Config) { c.Proxy = "https://proxy.example:3128" }, "proxy is not an http URL"},
		"proxy, a path":     {func(c *vault.Config) { c.Proxy = "http://proxy.example/a" }, "proxy is not an http URL"},
		"proxy, a password": {func(c *vault.Config) { c.Proxy = "http://u:" + canary + "@proxy.example" }, "proxy must not have a user"},
		"password":          {func(c *vault.Config) { c.Addresses = []string{"https://u:" + canary + "@host"} }, "must not have a user"},
		"broken, password":  {func(c *vault.Config) { c.Addresses = []string{"https://u:" + canary + "@ho st"} }, "not an http, https or unix URL"},
		"query":             {func(c *vault.Config) { c.Addresses = []string{"https://host?token=" + canary} }, "must not have a user, query"},
		"mount leaves":      {func(c *vault.Config) { c.Mount = "a/../sys" }, "mount"},
		"prefix leaves":     {func(c *vault.Config) { c.Prefix = ".." }, "prefix"},
		"prefix encoded":    {func(c *vault.Config) { c.Prefix = "a%2e" }, "prefix"},
		"namespace":         {func(c *vault.Config) { c.Namespace = "a\r\nX-Evil: 1" }, "namespace"},
		"method":            {func(c *vault.Config) { c.Auth.Method = "userpass" }, "userpass"},
		"no method":         {func(c *vault.Config) { c.Auth.Method = "" }, `write method = "..." under [vault.auth]: one of approle, cert`},
		"no token":          {func(c *vault.Config) { c.Auth.Token = resolver.Value{} }, "needs a token"},
		"no token file":     {func(c *vault.Config) { c.Auth = vault.Auth{Method: "token_file"} }, "needs token_file"},
		"no role":           {func(c *vault.Config) { c.Auth = vault.Auth{Method: "approle"} }, `write role_id = "..."`},
		"a role's name":     {func(c *vault.Config) { c.Auth = vault.Auth{Method: "approle", Role: "web"} }, "write its role_id"},
		"two roles":         {func(c *vault.Config) { c.Auth = vault.Auth{Method: "approle", RoleID: "a", RoleIDFile: "b"} }, "take one of them away"},
		"auth mount leaves": {func(c *vault.Config) { c.Auth = vault.Auth{Method: "approle", RoleID: "x", Mount: "../sys"} }, "auth mount"},
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			tt.edit(&c)
			_, err := vault.New(c, resolver.Container{})
			if tt.text == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantFault(t, err, fault.Settings, tt.text)
			harmless(t, err)
		})
	}
}

func TestLogin(t *testing.T) {
	server.Policy(t, "login", `path "secret/data/containers/login" { capabilities = ["read"] }`)
	server.Put(t, 2, kv2, "containers/login", map[string]any{"K": canary})
	token := server.Token(t, "login")
	roleID, secretID := server.AppRole(t, "approle", "login", "login")
	otherRole, otherSecret := server.AppRole(t, "auth.two/roles", "login", "login")
	revoked := server.Token(t, "login")
	server.Revoke(t, revoked)
	open := file(t, token)
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	absent := filepath.Join(t.TempDir(), "absent")
	document := file(t, `{"auth": {"client_token": "`+token+`"}}`)

	for name, tt := range map[string]struct {
		auth  vault.Auth
		class fault.Class // 0 for success
		text  string
	}{
		"token":      {vault.Auth{Method: "token", Token: resolver.NewValue(token)}, 0, ""},
		"token file": {vault.Auth{Method: "token_file", TokenFile: file(t, token+"\n")}, 0, ""},
		"approle":    {vault.Auth{Method: "approle", RoleID: roleID, SecretIDFile: file(t, secretID+"\r\n")}, 0, ""},
		"approle elsewhere": {vault.Auth{
			Method: "approle", Mount: "auth.two/roles", RoleIDFile: file(t, otherRole), SecretIDFile: file(t, otherSecret),
		}, 0, ""},

		"wrong token":      {vault.Auth{Method: "token", Token: resolver.NewValue("hvs.nobodys")}, fault.Refused, "the token is not valid"},
		"revoked token":    {vault.Auth{Method: "token", Token: resolver.NewValue(revoked)}, fault.Refused, "the token is not valid"},
		"broken token":     {vault.Auth{Method: "token", Token: resolver.NewValue("hvs.a\r\nX: y")}, fault.Settings, "no token has"},
		"empty file":       {vault.Auth{Method: "token_file", TokenFile: file(t, "\n")}, fault.Settings, "is empty"},
		"JSON in the file": {vault.Auth{Method: "token_file", TokenFile: document}, fault.Settings, "token_file: " + document + " has characters"},
		"absent file":      {vault.Auth{Method: "token_file", TokenFile: absent}, fault.Settings, absent},
		"open token file":  {vault.Auth{Method: "token_file", TokenFile: open}, fault.Refused, "token_file"},
		"open role file":   {vault.Auth{Method: "approle", RoleIDFile: open}, fault.Refused, "role_id_file"},
		"open secret id":   {vault.Auth{Method: "approle", RoleID: roleID, SecretIDFile: open}, fault.Refused, "secret_id_file"},
		"wrong role":       {vault.Auth{Method: "approle", RoleID: "0815", SecretIDFile: file(t, secretID)}, fault.Refused, "invalid role or secret ID"},
		"wrong secret id":  {vault.Auth{Method: "approle", RoleID: roleID, SecretIDFile: file(t, "wrongly-"+secretID)}, fault.Refused, "invalid role or secret ID"},
		"no secret id":     {vault.Auth{Method: "approle", RoleID: roleID}, fault.Refused, "auth/approle/login"},
		"no such method":   {vault.Auth{Method: "approle", Mount: "nowhere", RoleID: roleID}, fault.Refused, "auth/nowhere/login"},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(server, kv2, "")
			c.Auth = tt.auth
			start := time.Now()
			_, err := get(t, source(t, c), 5*time.Second, "login", 0)
			if tt.class == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantFault(t, err, tt.class, tt.text)
			harmless(t, err, token, secretID, otherSecret, revoked, "nobodys", "wrongly")
			if d := time.Since(start); d > 2*time.Second {
				t.Errorf("a refusal was retried: %s", d)
			}
		})
	}
}

// The token file is a sink that an agent rewrites: each Source reads it anew.
// TestDirectoryOfOthers has credentials in whose place others could put their
// own.
func TestDirectoryOfOthers(t *testing.T) {
	for name, auth := range map[string]vault.Auth{
		"token_file":     {Method: "token_file", TokenFile: file(t, canary)},
		"role_id_file":   {Method: "approle", RoleIDFile: file(t, canary)},
		"secret_id_file": {Method: "approle", RoleID: "x", SecretIDFile: file(t, canary)},
		"ca_cert":        {Method: "token", Token: resolver.NewValue("x")},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(server, "secret", "x")
			c.Auth = auth
			path := auth.TokenFile + auth.RoleIDFile + auth.SecretIDFile
			if name == "ca_cert" {
				path = file(t, canary)
				c.CACert = path
			}
			if err := os.Chmod(filepath.Dir(path), 0o775); err != nil {
				t.Fatal(err)
			}
			_, err := get(t, source(t, c), 5*time.Second, "any", 0)
			wantFault(t, err, fault.Refused, "vault: "+name+": "+filepath.Dir(path)+" has mode 0775", "chmod 0755 "+filepath.Dir(path))
		})
	}
}

func TestTokenFileIsReadAgain(t *testing.T) {
	server.Put(t, 2, kv2, "containers/again", map[string]any{"K": canary})
	c := config(server, kv2, "")
	c.Auth = vault.Auth{Method: "token_file", TokenFile: file(t, "hvs.old")}
	_, err := get(t, source(t, c), 5*time.Second, "again", 0)
	wantFault(t, err, fault.Refused)
	if err := os.WriteFile(c.Auth.TokenFile, []byte(server.RootToken), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := get(t, source(t, c), 5*time.Second, "again", 0); err != nil {
		t.Error(err)
	}
}

func TestPolicies(t *testing.T) {
	server.Policy(t, "narrow", `
		path "secret/data/containers/mine"     { capabilities = ["read"] }
		path "secret/data/containers/writable" { capabilities = ["update"] }
		path "team/old/containers/mine"        { capabilities = ["read"] }`)
	token := server.Token(t, "narrow")
	for _, name := range []string{"mine", "writable", "theirs"} {
		server.Put(t, 1, kv1, "containers/"+name, map[string]any{"K": canary})
		server.Put(t, 2, kv2, "containers/"+name, map[string]any{"K": canary})
	}
	s1, s2 := source(t, config(server, kv1, token)), source(t, config(server, kv2, token))
	for _, s := range []*vault.Source{s1, s2} {
		if _, err := get(t, s, 5*time.Second, "mine", 0); err != nil {
			t.Error(err)
		}
	}
	_, err := get(t, s2, 5*time.Second, "theirs", 0)
	wantFault(t, err, fault.Refused, "secret/data/containers/theirs", "policies do not allow",
		`path "secret/data/containers/theirs" { capabilities = ["read"] }`)
	_, err = get(t, s2, 5*time.Second, "writable", 0)
	wantFault(t, err, fault.Refused, "secret/data/containers/writable")
	_, err = get(t, s1, 5*time.Second, "theirs", 0)
	wantFault(t, err, fault.Refused, `path "team/old/containers/theirs" { capabilities = ["read"] }`)
	// Absent and forbidden look the same to whom it is forbidden: a refusal.
	_, err = get(t, s2, 5*time.Second, "absent", 0)
	wantFault(t, err, fault.Refused)

	// A token with nothing at all below the mount.
	_, err = get(t, source(t, config(server, kv2, server.Token(t, "default"))), 5*time.Second, "mine", 0)
	wantFault(t, err, fault.Refused, `mount "secret"`, `path "secret/data/containers/*" { capabilities = ["read"] }`)
}

func TestMounts(t *testing.T) {
	for mount, want := range map[string]struct {
		class fault.Class
		text  string
	}{
		"nowhere":    {fault.Refused, `mount "nowhere" is not there`},
		"cubbyhole":  {fault.Settings, `of type "cubbyhole"`},
		"sys":        {fault.Settings, `of type "system"`},
		"secret/sub": {fault.Settings, `what is mounted there is "secret"`},
		"team":       {fault.Refused, `mount "team"`},
	} {
		t.Run(mount, func(t *testing.T) {
			_, err := get(t, source(t, config(server, mount, server.RootToken)), 5*time.Second, "x", 0)
			wantFault(t, err, want.class, want.text)
		})
	}
}
