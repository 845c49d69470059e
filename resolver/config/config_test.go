// SPDX-License-Identifier: Apache-2.0

package config

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// canary stands for a token; nothing may ever print it.
const canary = "hvs.canary-Kx7"

// write makes a settings file of the given mode.
func write(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	return path
}

const full = `
chain = ["dotenv", "vault"]
deadline = "40s"
allow_names = ["LD_PRELOAD", "PATH"]
only_names = ["DB_*", "PATH"]
allow_any_name = true
allow_shared = ["dict"]
state_dir = "/state"

[log]
file = "/log"
metrics = "/metrics.prom"

[runtime]
path = "/usr/sbin/runc"
exec = "off"
delivery = { runsc = "spec" }

[vault]
address = "https://vault.example:8200"
addresses = ["unix:///run/vault/proxy.sock"]
mount = "kv"
prefix = "containers/prod"
ca_cert = "/ca.pem"
namespace = "team"
environment = true
dynamic = ["database/creds"]
insecure_loopback = true
socket_owner = "vault"
tls_server_name = "vault.internal"
proxy = "http://proxy.example:3128"
[vault.auth]
method = "token"
mount = "roles"
role = "web"
token = "` + canary + `"
token_file = "/token"
token_file_owner = "agent"
role_id = "role"
role_id_file = "/role-id"
secret_id_file = "/secret-id"
wrapped_secret_id_file = "/wrapped"
jwt_file = "/jwt"
as_workload = true
workload_token = "/in/the/container"
workload_issuer = "https://issuer"
kubelet = "/kubelet"
client_cert = "/cert.pem"
client_key = "/key.pem"
[vault.leases]
at_max_ttl = "stop"
[vault.outage]
mode = "refuse"
max_age = "2h"
directory = "/answers"

[dict]
path = "/secrets"

[dotenv]
directory = "/env"
lenient = true
`

// TestEveryKey reads a file that has them all, and sees each arrive.
func TestEveryKey(t *testing.T) {
	s, err := Load(write(t, full, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{
		"chain": s.Chain, "deadline": s.Deadline.Duration, "allow_names": s.AllowNames,
		"only_names": s.OnlyNames, "allow_any_name": s.AllowAnyName, "allow_shared": s.AllowShared,
		"state_dir": s.StateDir, "runtime.path": s.Runtime.Path, "runtime.exec": s.Runtime.Exec, "runtime.delivery": s.Runtime.Delivery,
		"vault.address": s.Vault.Address, "vault.mount": s.Vault.Mount, "vault.prefix": s.Vault.Prefix,
		"vault.ca_cert": s.Vault.CACert, "vault.namespace": s.Vault.Namespace,
		"vault.auth.method": s.Vault.Auth.Method, "vault.auth.mount": s.Vault.Auth.Mount,
		"vault.auth.token": s.Vault.Auth.Token.Reveal(), "vault.auth.token_file": s.Vault.Auth.TokenFile,
		"vault.auth.role_id": s.Vault.Auth.RoleID, "vault.auth.role_id_file": s.Vault.Auth.RoleIDFile,
		"vault.auth.secret_id_file": s.Vault.Auth.SecretIDFile, "vault.auth.wrapped_secret_id_file": s.Vault.Auth.WrappedSecretIDFile,
		"vault.auth.role": s.Vault.Auth.Role, "vault.auth.jwt_file": s.Vault.Auth.JWTFile,
		"vault.auth.as_workload": s.Vault.Auth.AsWorkload, "vault.auth.workload_token": s.Vault.Auth.WorkloadToken, "vault.auth.workload_issuer": s.Vault.Auth.WorkloadIssuer, "vault.auth.kubelet": s.Vault.Auth.Kubelet,
		"vault.auth.client_cert": s.Vault.Auth.ClientCert, "vault.auth.client_key": s.Vault.Auth.ClientKey,
		"vault.addresses": s.Vault.Addresses, "vault.environment": s.Vault.Environment, "vault.dynamic": s.Vault.Dynamic,
		"vault.insecure_loopback": s.Vault.InsecureLoopback, "vault.socket_owner": s.Vault.SocketOwner,
		"vault.tls_server_name": s.Vault.TLSServerName, "vault.proxy": s.Vault.Proxy, "vault.auth.token_file_owner": s.Vault.Auth.TokenFileOwner,
		"vault.leases.at_max_ttl": s.Vault.Leases.AtMaxTTL, "vault.outage.mode": s.Vault.Outage.Mode,
		"vault.outage.max_age": s.Vault.Outage.MaxAge.Duration, "vault.outage.directory": s.Vault.Outage.Directory,
		"log.file": s.Log.File, "log.metrics": s.Log.Metrics,
		"dict.path": s.Dict.Path, "dotenv.directory": s.Dotenv.Directory, "dotenv.lenient": s.Dotenv.Lenient,
	}
	want := map[string]any{
		"chain": []string{"dotenv", "vault"}, "deadline": 40 * time.Second, "allow_names": []string{"LD_PRELOAD", "PATH"},
		"only_names": []string{"DB_*", "PATH"}, "allow_any_name": true, "allow_shared": []string{"dict"},
		"state_dir": "/state", "runtime.path": "/usr/sbin/runc", "runtime.exec": "off", "runtime.delivery": map[string]string{"runsc": "spec"},
		"vault.address": "https://vault.example:8200", "vault.mount": "kv", "vault.prefix": "containers/prod",
		"vault.ca_cert": "/ca.pem", "vault.namespace": "team",
		"vault.auth.method": "token", "vault.auth.mount": "roles",
		"vault.auth.token": canary, "vault.auth.token_file": "/token",
		"vault.auth.role_id": "role", "vault.auth.role_id_file": "/role-id", "vault.auth.secret_id_file": "/secret-id", "vault.auth.wrapped_secret_id_file": "/wrapped",
		"vault.auth.role": "web", "vault.auth.jwt_file": "/jwt",
		"vault.auth.as_workload": true, "vault.auth.workload_token": "/in/the/container", "vault.auth.workload_issuer": "https://issuer", "vault.auth.kubelet": "/kubelet",
		"vault.auth.client_cert": "/cert.pem", "vault.auth.client_key": "/key.pem",
		"vault.addresses": []string{"unix:///run/vault/proxy.sock"}, "vault.environment": true, "vault.dynamic": []string{"database/creds"},
		"vault.insecure_loopback": true, "vault.socket_owner": "vault",
		"vault.tls_server_name": "vault.internal", "vault.proxy": "http://proxy.example:3128", "vault.auth.token_file_owner": "agent",
		"vault.leases.at_max_ttl": "stop", "vault.outage.mode": "refuse",
		"vault.outage.max_age": 2 * time.Hour, "vault.outage.directory": "/answers",
		"log.file": "/log", "log.metrics": "/metrics.prom",
		"dict.path": "/secrets", "dotenv.directory": "/env", "dotenv.lenient": true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, key := range keys(reflect.TypeFor[Settings](), "") {
		if _, ok := want[key]; !ok {
			t.Errorf("the key %s is not tested", key)
		}
	}
	// The two do not go together.
	s, err = Load(write(t, strings.NewReplacer("as_workload = true\nworkload_token = \"/in/the/container\"\nworkload_issuer = \"https://issuer\"\nkubelet = \"/kubelet\"\n", "", Refuse, LastKnownGood).Replace(full), 0o600))
	if err != nil || s.Vault.Auth.AsWorkload || s.Vault.Outage.Mode != LastKnownGood {
		t.Errorf("got %v, %v", s.Vault, err)
	}
}

func TestTokenIsUnprintable(t *testing.T) {
	s, err := Load(write(t, full, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(s)
	text := fmt.Sprint(string(b), err)
	for _, x := range []any{s, *s, s.Vault, *s.Vault, s.Vault.Auth, s.Vault.Auth.Token, struct{ a Auth }{s.Vault.Auth}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%p", "%w"} {
			text += fmt.Errorf(verb, x).Error()
		}
	}
	if strings.Contains(text, canary) || strings.Contains(text, fmt.Sprintf("%x", canary)) {
		t.Errorf("the token is printed: %s", text)
	}
}

func TestLoadRefuses(t *testing.T) {
	all := "the keys are " + strings.Join(keys(reflect.TypeFor[Settings](), ""), ", ")
	tests := map[string]struct {
		text  string
		lines []string // behind "settings FILE: "
		hints []string
	}{
		"a slip": {
			"deadlin = \"5s\"", []string{`unknown key "deadlin"`}, []string{`did you mean "deadline"?`},
		},
		"a slip in a table": {
			"[vault]\naddress = \"https://x\"\n[vault.auth]\nrole_di = \"x\"", []string{`unknown key "vault.auth.role_di"`}, []string{`did you mean "vault.auth.role_id"?`},
		},
		"nothing near in a table": {
			"[log]\npath = \"x\"", []string{`unknown key "log.path"`}, []string{"the keys below [log] are log.file, log.metrics"},
		},
		"a key cut short": {
			"[vault.auth]\nsecret_id = \"x\"", []string{`unknown key "vault.auth.secret_id"`}, []string{`did you mean "vault.auth.secret_id_file"?`},
		},
		"nothing near": {
			"xyzzy = 1", []string{`unknown key "xyzzy"`}, []string{all},
		},
		"several": {
			"chian = []\n[dict]\npaht = \"x\"", []string{`unknown key "chian"`, `unknown key "dict.paht"`}, []string{`did you mean "chain"?`, `did you mean "dict.path"?`},
		},
		"an unknown table": {
			"[dicts]\npath = \"x\"", []string{`unknown key "dicts"`, `unknown key "dicts.path"`}, []string{all, `did you mean "dict.path"?`},
		},
		"a key of the table below": {
			"[vault]\ntoken = \"x\"\nrole_id = \"x\"",
			[]string{`unknown key "vault.token"`, `unknown key "vault.role_id"`},
			[]string{`did you mean "vault.auth.token"?`, `did you mean "vault.auth.role_id"?`},
		},
		"a key of the table above": {
			"[vault.auth]\nnamespace = \"x\"", []string{`unknown key "vault.auth.namespace"`}, []string{`did you mean "vault.namespace"?`},
		},
		"a key below the tables": {
			"[vault.auth]\nrole = \"x\"\ndeadline = \"5s\"",
			[]string{`unknown key "vault.auth.deadline"`},
			[]string{`did you mean "deadline"? it belongs above the first [table]`},
		},
		"a key outside of its table": {
			"address = \"x\"", []string{`unknown key "address"`}, []string{`did you mean "vault.address"?`},
		},
		"a table outside of its table": {
			"[auth]\nmethod = \"x\"",
			[]string{`unknown key "auth"`, `unknown key "auth.method"`},
			[]string{`did you mean "vault.auth"?`, `did you mean "vault.auth.method"?`},
		},
		"the beginning of a key": {
			"[vault]\naddr = \"x\"", []string{`unknown key "vault.addr"`}, []string{`did you mean "vault.address"?`},
		},
		"near by the name of the table alone": {
			"[vault]\nurl = \"x\"",
			[]string{`unknown key "vault.url"`},
			[]string{"the keys below [vault] are " + strings.Join(below("vault", keys(reflect.TypeFor[Settings](), "")), ", ")},
		},
		"another case": {
			"[Dict]\npath = \"a\"\nPath = \"b\"", []string{`unknown key "Dict"`, `unknown key "Dict.Path"`}, []string{`did you mean "dict"?`, `did you mean "dict.path"?`},
		},
		"another case and type": {
			"[Vault]\naddress = 5", []string{`unknown key "Vault"`}, []string{`did you mean "vault"?`},
		},
		"a duration without unit":     {"deadline = \"10\"", []string{`line 1, at "deadline": want a positive duration such as "10s" or "24h"`}, nil},
		"a duration that is a number": {"\ndeadline = 10", []string{`line 2, at "deadline": want a positive duration such as "10s" or "24h"`}, nil},
		"a day":                       {"[vault.outage]\nmax_age = \"1d\"", []string{`line 2, at "vault.outage.max_age": want a positive duration such as "10s" or "24h"`}, nil},
		"a negative duration":         {"deadline = \"-1s\"", []string{`line 1, at "deadline": want a positive duration such as "10s" or "24h"`}, nil},
		"no duration":                 {"deadline = \"0s\"", []string{`line 1, at "deadline": want a positive duration such as "10s" or "24h"`}, nil},
		"the wrong type":              {"chain = \"vault\"", []string{`"chain" must be an array of strings`}, nil},
		"an array of the wrong type":  {"chain = [\"dict\", 1]", []string{`"chain" must be an array of strings`}, nil},
		"no string":                   {"[vault]\nmount = 5", []string{`"vault.mount" must be a string`}, nil},
		"no string, deeper":           {"[vault.auth]\nrole_id = [\"x\"]", []string{`"vault.auth.role_id" must be a string`}, nil},
		"no truth":                    {"[dotenv]\nlenient = \"yes\"", []string{`"dotenv.lenient" must be true or false`}, nil},
		"no table":                    {"dict = \"/etc/secrets\"", []string{`"dict" must be a table`}, nil},
		"a list of tables":            {"[[vault]]\nmount = \"x\"", []string{`"vault" must be a table`}, nil},
		"no TOML":                     {"[vault\n", []string{`line 2: not valid TOML, or not the type that the key has`}, nil},
		"a key twice":                 {"[dict]\npath = \"a\"\npath = \"b\"", []string{`line 3, at "dict.path": not valid TOML, or not the type that the key has`}, nil},
		"not UTF-8":                   {"[dict]\npath = \"\xff\"", []string{`line 2, at "dict.path": not valid TOML, or not the type that the key has`}, nil},
		"an unknown source": {
			"chain = [\"valut\"]\n[dict]", []string{`chain names an unknown source "valut"`}, []string{"the sources are vault, dict, dotenv"},
		},
		"a source without a table": {
			"chain = [\"dict\", \"vault\"]\n[dict]", []string{`chain names "vault", which is not configured`}, []string{"add a [vault] table, or take it out of chain"},
		},
		"a source twice": {
			"chain = [\"dict\", \"dict\"]\n[dict]", []string{`chain names "dict" twice`}, nil,
		},
		"a deadline above the engines'": {
			"deadline = \"141s\"\n[dict]", []string{"deadline is 2m21s, more than 2m20s"}, []string{"engines do not wait longer for a container's start"},
		},
		"an outage mode that is none": {
			"[vault.outage]\nmode = \"last\"", []string{`vault.outage.mode is "last", and must be refuse or last-known-good`}, nil,
		},
		"last-known-good for a workload": {
			"[vault.auth]\nas_workload = true\n[vault.outage]\nmode = \"last-known-good\"",
			[]string{"vault.outage.mode is last-known-good, and does not go with vault.auth.as_workload"},
			[]string{"while Vault is not there nobody can check who the workload is; set mode to refuse"},
		},
		"the workload's token without as_workload": {
			"[vault.auth]\nmethod = \"approle\"\nworkload_token = \"/t\"\nworkload_issuer = \"https://a\"\nkubelet = \"/k\"",
			[]string{
				"vault.auth.workload_token is there, and vault.auth.as_workload is not true",
				"vault.auth.workload_issuer is there, and vault.auth.as_workload is not true",
				"vault.auth.kubelet is there, and vault.auth.as_workload is not true",
			},
			[]string{"take workload_token away, or set as_workload = true", "take workload_issuer away, or set as_workload = true", "take kubelet away, or set as_workload = true"},
		},
		"the way to an address that is not there": {
			"[vault]\naddress = \"http://127.0.0.1:8200\"\nsocket_owner = \"vault\"\ntls_server_name = \"a\"\nproxy = \"http://b\"",
			[]string{
				"vault.socket_owner is there, and no address is unix://",
				"vault.tls_server_name is there, and no address is https://",
				"vault.proxy is there, and no address is https://",
			},
			[]string{
				"take socket_owner away, or correct the address", "take tls_server_name away, or correct the address", "take proxy away, or correct the address",
			},
		},
		"a shared source that is none": {
			"allow_shared = [\"vault\", \"dotenv\"]\n[dict]\n[vault]",
			[]string{`allow_shared names "vault", which is no source that is shared here`, `allow_shared names "dotenv", which is no source that is shared here`},
			[]string{"name dict or dotenv, where they have a table"},
		},
		"a pattern among the allowed names": {
			"allow_names = [\"PATH\", \"LD_*\"]\n[dict]", []string{`allow_names has "LD_*", which is not a variable name`}, []string{"list each variable by its whole name"},
		},
		"a pattern that is none": {
			"only_names = [\"A_*\", \"A*B\", \"\", \"*\"]\n[dict]", []string{`only_names has "A*B", and a * stands at the end of a name`, `only_names has "", and a * stands at the end of a name`}, nil,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := write(t, tt.text, 0o600)
			s, err := Load(path)
			if err == nil {
				t.Fatalf("got %+v", s)
			}
			lines := strings.Split(err.Error(), "\n")
			for i, l := range lines {
				lines[i] = strings.TrimPrefix(l, "settings "+path+": ")
			}
			if diff := cmp.Diff(tt.lines, lines); diff != "" {
				t.Errorf("errors (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(tt.hints, fault.Hints(err)); diff != "" {
				t.Errorf("hints (-want +got)\n%s", diff)
			}
			if c, _ := fault.ClassOf(err); c != fault.Settings {
				t.Errorf("class %v", c)
			}
		})
	}
}

// TestModes gives files that others could have written, or can read.
func TestModes(t *testing.T) {
	const tokenless = "[dict]\npath = \"/s\"\n"
	const token = "[vault]\naddress = \"https://x\"\n[vault.auth]\nmethod = \"token\"\ntoken = \"" + canary + "\"\n"
	for _, tt := range []struct {
		text string
		mode os.FileMode
		hint string // "" where it is accepted
	}{
		{tokenless, 0o600, ""},
		{tokenless, 0o644, ""},
		{tokenless, 0o664, "chmod 0644 "},
		{tokenless, 0o646, "chmod 0644 "},
		{token, 0o600, ""},
		{token, 0o640, ""},
		{token, 0o644, "chmod 0640 "},
		{token, 0o660, "chmod 0644 "},
	} {
		path := write(t, tt.text, tt.mode)
		_, err := Load(path)
		if tt.hint == "" {
			if err != nil {
				t.Errorf("mode %o: %v", tt.mode, err)
			}
			continue
		}
		if c, _ := fault.ClassOf(err); c != fault.Settings {
			t.Errorf("mode %o: got %v, class %v", tt.mode, err, c)
			continue
		}
		if diff := cmp.Diff([]string{tt.hint + path}, fault.Hints(err)); diff != "" {
			t.Errorf("mode %o: hints (-want +got)\n%s", tt.mode, diff)
		}
		if strings.Contains(err.Error(), canary) {
			t.Error("the error has the token")
		}
	}
}

// TestDirectoryMode has a file in whose place others could put another.
func TestDirectoryMode(t *testing.T) {
	path := write(t, "[dict]", 0o600)
	dir := filepath.Dir(path)
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	_, err := Load(path)
	if !errors.Is(err, fault.Settings) || !cmp.Equal(fault.Hints(err), []string{"chmod 0755 " + dir}) {
		t.Errorf("got %v, hints %q", err, fault.Hints(err))
	}
}

func TestNamedFileMustExist(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nowhere.toml")
	_, err := Load(path)
	if c, _ := fault.ClassOf(err); c != fault.Settings || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
	t.Setenv(Env, path)
	if _, err := Load(""); err == nil {
		t.Error("a file that the environment names need not exist")
	}
	for _, other := range []string{t.TempDir(), "/dev/null"} {
		if _, err := Load(other); !errors.Is(err, fault.Settings) {
			t.Errorf("%s: got %v", other, err)
		}
	}
}

// TestPaths has paths that are relative, which are below the file's directory.
func TestPaths(t *testing.T) {
	path := write(t, `
[dict]
path = "my/secrets"
[dotenv]
directory = "../env"
[vault]
ca_cert = "ca.pem"
[vault.auth]
token_file = "token"
role_id_file = "role"
secret_id_file = "/abs/secret"
`, 0o600)
	s, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(path)
	got := []string{s.Dict.Path, s.Dotenv.Directory, s.Vault.CACert, s.Vault.Auth.TokenFile, s.Vault.Auth.RoleIDFile, s.Vault.Auth.SecretIDFile}
	want := []string{dir + "/my/secrets", filepath.Join(dir, "../env"), dir + "/ca.pem", dir + "/token", dir + "/role", "/abs/secret"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestDefaults(t *testing.T) {
	for name, tt := range map[string]struct {
		text         string
		chain        []string
		dict, dotenv string
	}{
		"all tables, in any order": {"[dotenv]\n[dict]\n[vault]", []string{"vault", "dict", "dotenv"}, "secrets", "env"},
		"one table":                {"[dict]\npath = \"x.toml\"", []string{"dict"}, "x.toml", ""},
		"an empty file":            {"", nil, "", ""},
		"an empty chain":           {"chain = []\n[dict]", []string{}, "secrets", ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, tt.text, 0o600)
			s, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.chain, s.Chain); diff != "" {
				t.Errorf("chain (-want +got)\n%s", diff)
			}
			if s.Deadline.Duration != 10*time.Second {
				t.Errorf("the deadline is %v", s.Deadline)
			}
			if (s.Dict != nil) != (tt.dict != "") || s.Dict != nil && s.Dict.Path != filepath.Join(filepath.Dir(path), tt.dict) {
				t.Errorf("dict %+v", s.Dict)
			}
			if (s.Dotenv != nil) != (tt.dotenv != "") || s.Dotenv != nil && s.Dotenv.Directory != filepath.Join(filepath.Dir(path), tt.dotenv) {
				t.Errorf("dotenv %+v", s.Dotenv)
			}
		})
	}
}

func TestResolver(t *testing.T) {
	s, err := Load(write(t, full, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	var opened *Settings
	var who resolver.Container
	r, err := s.Resolver(func(s *Settings, c resolver.Container) (resolver.Source, error) {
		opened, who = s, c
		return named("vault"), nil
	}, resolver.Container{ID: "web"})
	if err != nil {
		t.Fatal(err)
	}
	if opened != s || who.ID != "web" || r.Chain.Name() != "dotenv, vault" || len(r.Pinned) != 3 || len(r.Names.Allow) != 2 || len(r.Names.Only) != 2 || !r.Names.Any {
		t.Errorf("got %+v", r)
	}
	for name, source := range r.Pinned {
		if source.Name() != name {
			t.Errorf("%s is %s", name, source.Name())
		}
	}
	broken := errors.New("broken")
	if _, err := s.Resolver(func(*Settings, resolver.Container) (resolver.Source, error) { return nil, broken }, resolver.Container{}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

type named string

func (n named) Name() string { return string(n) }

func (named) Get(context.Context, string, int) (*resolver.Secret, error) {
	return nil, errors.New("not asked")
}

// FuzzSettings puts any text around a token. The file is accepted or refused,
// and what is printed of it has no token.
func FuzzSettings(f *testing.F) {
	for _, text := range []string{
		full, "", "[vault]", "chain = [", "deadline = \"1s\"\n", "x = \"\"\"", "x = '''", "[vault.auth]\nmethod = 1\n", "\xef\xbb\xbf", "vault = {", "a.b.c = 1\n", "[[vault]]\n", "# \\\n",
	} {
		f.Add(text, "")
		f.Add("", text)
		f.Add(text, text)
	}
	path := filepath.Join(f.TempDir(), "config.toml")
	f.Fuzz(func(t *testing.T, before, after string) {
		text := before + "\n[vault.auth]\ntoken = \"" + canary + "\"\n" + after
		if strings.Contains(before+after, canary) {
			return
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Load(path)
		if err != nil {
			if c, _ := fault.ClassOf(err); c != fault.Settings {
				t.Errorf("class %v: %v", c, err)
			}
			if strings.Contains(fmt.Sprint(err, fault.Hints(err)), canary) {
				t.Errorf("the error has the token: %v", err)
			}
			return
		}
		if strings.Contains(fmt.Sprintf("%+v %+v %#v", s, s.Vault, s.Vault), canary) {
			t.Error("the settings print the token")
		}
	})
}
