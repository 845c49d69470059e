// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/vault"
	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// older makes a refusal one of that much longer ago.
func older(t *testing.T, file string, d time.Duration) {
	t.Helper()
	edit(t, file, func(r map[string]any) { r["At"] = sinceBoot(t) - d })
}

// aged makes the kept token, and a refusal of a path, ones of that much longer ago.
func aged(t *testing.T, dir string, token, refusal time.Duration) {
	t.Helper()
	edit(t, kept(t, dir, aToken), func(r map[string]any) { r["Obtained"] = sinceBoot(t) - token })
	if refusal > 0 {
		older(t, kept(t, dir, aRefusal), refusal)
	}
}

// TestLoginRefused has many starts with a secret id that is wrong.
func TestLoginRefused(t *testing.T) {
	c := appRole(t, vaulttest.Tokens{TTL: time.Hour})
	right, err := os.ReadFile(c.Auth.SecretIDFile)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		if err := os.WriteFile(c.Auth.SecretIDFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("wrong")
	var told atomic.Int64
	wantCounts(t, "many", counted(t, func() {
		together(50, func(int) {
			_, err := start(t, c, 30*time.Second, "shared/db")
			if class, _ := fault.ClassOf(err); class != fault.Refused || !strings.Contains(err.Error(), "invalid role or secret ID") {
				t.Errorf("%v", err)
			}
			if strings.Contains(err.Error(), "s ago; asked again in ") {
				told.Add(1)
			}
		})
	}), counts{logins: 1})
	if told.Load() != 49 {
		t.Errorf("%d say that they did not ask", told.Load())
	}

	write(string(right))
	wantCounts(t, "a moment later", counted(t, func() {
		_, err := start(t, c, 30*time.Second, "shared/db")
		wantFault(t, err, fault.Refused, "ago; asked again in ", "check role_id", "may have expired or been used up")
	}), counts{})
	// A keeper of leases tries again by itself, and must be able to tell that it is the same.
	wantCounts(t, "a lease", counted(t, func() {
		err := sourceFor(t, c, resolver.Container{}).Revoke(t.Context(), "database/creds/web/1")
		wantFault(t, err, fault.Refused, "invalid role or secret ID", "check role_id")
		if strings.Contains(err.Error(), "ago") {
			t.Error(err)
		}
	}), counts{})
	older(t, kept(t, c.StateDir, aRefusal), 4*time.Second)
	wantCounts(t, "4 s later", counted(t, func() {
		_, err := start(t, c, 30*time.Second, "shared/db")
		wantFault(t, err, fault.Refused, "(4s ago; asked again in 1s)")
	}), counts{})

	// Who asks in person is not told what was.
	fresh := c
	fresh.Fresh = true
	wantCounts(t, "fresh", counted(t, func() { succeed(t, fresh, "shared/db") }), counts{logins: 1, mounts: 1, reads: 1})
	for _, f := range files(t, c.StateDir) {
		if strings.HasSuffix(f, ".refused") {
			t.Errorf("still there after a success: %s", f)
		}
	}
	wantCounts(t, "and all others", counted(t, func() { succeed(t, c, "shared/db") }), counts{reads: 1})
}

func TestRefusalEnds(t *testing.T) {
	c := appRole(t, vaulttest.Tokens{TTL: time.Hour})
	c.Auth.RoleID = "0815"
	refused := func() { _, _ = start(t, c, 30*time.Second, "shared/db") }
	wantCounts(t, "first", counted(t, refused), counts{logins: 1})
	wantCounts(t, "second", counted(t, refused), counts{})
	older(t, kept(t, c.StateDir, aRefusal), 5*time.Second)
	wantCounts(t, "5 s later", counted(t, refused), counts{logins: 1})

	// What is wrong here is found out without asking, each time.
	c = appRole(t, vaulttest.Tokens{})
	if err := os.Chmod(c.Auth.SecretIDFile, 0o644); err != nil {
		t.Fatal(err)
	}
	wantCounts(t, "an open file", counted(t, refused), counts{})
	if err := os.Chmod(c.Auth.SecretIDFile, 0o600); err != nil {
		t.Fatal(err)
	}
	succeed(t, c, "shared/db")
}

// A server that does not answer keeps the first until its deadline, and the
// others not at all.
func TestUnreachableIsRemembered(t *testing.T) {
	c, logins := slowLogin(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		answer(503, "application/json", `{"errors":["Vault is sealed"]}`)(0, w, nil)
	})
	_, err := start(t, c, 1500*time.Millisecond, "db")
	wantFault(t, err, fault.Unreachable, "last seen: sealed (HTTP 503)")
	asked := logins.Load()
	begun := time.Now()
	_, err = start(t, c, 10*time.Second, "db")
	wantFault(t, err, fault.Unreachable, "last seen: sealed (HTTP 503) (", "ago; asked again in ")
	if d := time.Since(begun); d > time.Second || logins.Load() != asked {
		t.Errorf("asked again: %s, %d logins", d, logins.Load()-asked)
	}

	// An attempt that had no time says nothing of the server.
	c, _ = slowLogin(t, func(_ int, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	_, err = start(t, c, 100*time.Millisecond, "db")
	wantFault(t, err, fault.Unreachable)
	for _, f := range files(t, c.StateDir) {
		if strings.HasSuffix(f, ".refused") {
			t.Errorf("remembered: %s", f)
		}
	}
}

// TestReadDenied has a path that the policies do not allow: one login more, as
// they may have been changed, and then none for a while.
func TestReadDenied(t *testing.T) {
	c := appRole(t, vaulttest.Tokens{TTL: time.Hour})
	server.Put(t, 2, kv2, "containers/theirs", map[string]any{"K": canary})
	succeed(t, c, "shared/db")
	denied := func(texts ...string) func() {
		return func() {
			_, err := start(t, c, 30*time.Second, "theirs")
			wantFault(t, err, fault.Refused, append(texts, "secret/data/containers/theirs", "policies do not allow")...)
			if fault.Outcome(err) != "denied" {
				t.Errorf("outcome %q", fault.Outcome(err))
			}
		}
	}
	wantCounts(t, "young", counted(t, denied()), counts{mounts: 1, reads: 1})
	aged(t, c.StateDir, 29*time.Second, 5*time.Second)
	fresh := c
	fresh.Fresh = true // somebody has changed the role, and waits
	wantCounts(t, "young, and asked in person", counted(t, func() {
		_, err := start(t, fresh, 30*time.Second, "theirs")
		wantFault(t, err, fault.Refused, "policies do not allow")
	}), counts{logins: 1, mounts: 1, reads: 2})
	aged(t, c.StateDir, 29*time.Second, 5*time.Second)
	wantCounts(t, "still young", counted(t, denied()), counts{mounts: 1, reads: 1})
	aged(t, c.StateDir, 30*time.Second, 5*time.Second)
	wantCounts(t, "first", counted(t, denied()), counts{logins: 1, mounts: 1, reads: 2})
	wantCounts(t, "second", counted(t, denied("ago; asked again in ")), counts{})
	wantCounts(t, "another path", counted(t, func() { succeed(t, c, "shared/db") }), counts{reads: 1})

	aged(t, c.StateDir, time.Minute, 5*time.Second)
	n := counted(t, func() { together(30, func(int) { denied()() }) })
	if n.logins != 1 {
		t.Errorf("many: %+v", n)
	}

	// With a token that was kept, and a mount that was not.
	aged(t, c.StateDir, time.Minute, 5*time.Second)
	forgetMount(t, c.StateDir)
	wantCounts(t, "kept token", counted(t, denied()), counts{logins: 1, mounts: 1, reads: 2})

	// A login of one's own is not tried twice.
	c.StateDir = sharedDir(t)
	wantCounts(t, "cold", counted(t, denied()), counts{logins: 1, mounts: 1, reads: 1})

	// The policy is changed.
	server.Policy(t, "shared", `path "secret/data/containers/*" { capabilities = ["read"] }`)
	c.Fresh = true
	wantCounts(t, "fresh", counted(t, func() { succeed(t, c, "theirs") }), counts{reads: 1})
	c.Fresh = false
	wantCounts(t, "then", counted(t, func() { succeed(t, c, "theirs") }), counts{reads: 1})
}

// A mount of which nothing is allowed is looked up by one of many.
func TestMountDenied(t *testing.T) {
	c := appRole(t, vaulttest.Tokens{TTL: time.Hour})
	succeed(t, c, "shared/db")
	aged(t, c.StateDir, time.Minute, 0)
	c.Mount = "nowhere"
	refused := func() {
		_, err := start(t, c, 30*time.Second, "shared/db")
		wantFault(t, err, fault.Refused, `mount "nowhere" is not there`)
	}
	wantCounts(t, "first", counted(t, refused), counts{logins: 1, mounts: 2})
	wantCounts(t, "many", counted(t, func() { together(20, func(int) { refused() }) }), counts{})
}

// TestBrokenFiles has what may be found in the place of a token.
func TestBrokenFiles(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(t *testing.T, file string)
		note   string
	}{
		"broken":    {func(t *testing.T, f string) { put(t, f, `{"Token":"`+canary) }, "is not used: it is broken"},
		"empty":     {func(t *testing.T, f string) { put(t, f, "") }, "it is broken"},
		"no token":  {func(t *testing.T, f string) { edit(t, f, func(r map[string]any) { r["Token"] = "" }) }, "it is broken"},
		"bad token": {func(t *testing.T, f string) { edit(t, f, func(r map[string]any) { r["Token"] = "a\r\nX: y" }) }, "it is broken"},
		"no end":    {func(t *testing.T, f string) { edit(t, f, func(r map[string]any) { delete(r, "Expires") }) }, "it is broken"},
		"huge":      {func(t *testing.T, f string) { put(t, f, strings.Repeat(" ", 1<<20)) }, "it is too large"},
		"open":      {func(t *testing.T, f string) { noError(t, os.Chmod(f, 0o644)) }, "it has mode 0644, and must have 0600"},
		"foreign":   {func(t *testing.T, f string) { noError(t, os.Chown(f, 4711, -1)) }, "it belongs to uid 4711"},
		"directory": {func(t *testing.T, f string) { noError(t, os.Remove(f)); noError(t, os.Mkdir(f, 0o700)) }, "it is not a regular file"},
		"fifo":      {func(t *testing.T, f string) { noError(t, os.Remove(f)); noError(t, unix.Mkfifo(f, 0o600)) }, "it is not a regular file"},
		"symlink":   {func(t *testing.T, f string) { noError(t, os.Remove(f)); noError(t, os.Symlink("/etc/shadow", f)) }, "is not used: "},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "foreign" && os.Geteuid() != 0 {
				t.Skip("chown: run it as root")
			}
			c := appRole(t, vaulttest.Tokens{TTL: time.Hour})
			succeed(t, c, "shared/db")
			tt.change(t, kept(t, c.StateDir, aToken))
			var record *resolver.Record
			wantCounts(t, "with it", counted(t, func() { record = succeed(t, c, "shared/db") }), counts{logins: 1, reads: 1})
			if notes := strings.Join(record.Notes(), "\n"); !strings.Contains(notes, tt.note) {
				t.Errorf("notes: %q", notes)
			}
			wantCounts(t, "after it", counted(t, func() { record = succeed(t, c, "shared/db") }), counts{reads: 1})
			if notes := record.Notes(); notes != nil {
				t.Errorf("still noted: %q", notes)
			}
		})
	}
}

func put(t *testing.T, file, text string) {
	t.Helper()
	noError(t, os.WriteFile(file, []byte(text), 0o600))
}

// TestStateDirs has state directories that are not what they should be: some
// refuse the start, for they are no place for a token; others cost a login.
func TestStateDirs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounts: run it as root")
	}
	mount := func(t *testing.T, dir, kind, options string) {
		noError(t, unix.Mount("test", dir, kind, 0, options))
		t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	}
	for name, tt := range map[string]struct {
		make  func(t *testing.T, dir string) string
		class fault.Class // 0 for a start
		text  string      // of the error, or the note
	}{
		"not in memory": {func(t *testing.T, dir string) string { mount(t, dir, "proc", ""); return dir }, fault.Delivery, "is not in memory"},
		"open":          {func(t *testing.T, dir string) string { mount(t, dir, "tmpfs", "mode=0755"); return dir }, fault.Delivery, "it must be ours alone"},
		"of another":    {func(t *testing.T, dir string) string { mount(t, dir, "tmpfs", "mode=0700,uid=4711"); return dir }, fault.Delivery, "belongs to uid 4711"},
		"nothing above": {func(_ *testing.T, dir string) string { return dir + "/a/b" }, 0, "the login is not shared with other containers: make the state directory"},
		"full": {func(t *testing.T, dir string) string {
			mount(t, dir, "tmpfs", "mode=0700,size=8k")
			_ = os.WriteFile(dir+"/filler", make([]byte, 64<<10), 0o600) // as much as there is room
			return dir
		}, 0, "the login is not shared with other containers: "},
		"no inodes": {func(t *testing.T, dir string) string {
			mount(t, dir, "tmpfs", "mode=0700,nr_inodes=2")
			return dir
		}, 0, "the login is not shared with other containers: "},
		"folder is a file": {func(t *testing.T, dir string) string {
			mount(t, dir, "tmpfs", "mode=0700")
			put(t, dir+"/vault", "")
			return dir
		}, 0, "vault is not a directory that is ours alone"},
		"folder is open": {func(t *testing.T, dir string) string {
			mount(t, dir, "tmpfs", "mode=0700")
			noError(t, os.Mkdir(dir+"/vault", 0o755))
			noError(t, os.Chmod(dir+"/vault", 0o755))
			return dir
		}, 0, "vault is not a directory that is ours alone"},
	} {
		t.Run(name, func(t *testing.T) {
			c := appRole(t, vaulttest.Tokens{TTL: time.Hour})
			dir := filepath.Join(t.TempDir(), "state")
			noError(t, os.Mkdir(dir, 0o700))
			c.StateDir = tt.make(t, dir)
			for range 2 {
				var record *resolver.Record
				var err error
				n := counted(t, func() { record, err = start(t, c, 30*time.Second, "shared/db") })
				if tt.class != 0 {
					wantFault(t, err, tt.class, tt.text)
					wantCounts(t, "refused", n, counts{})
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if n.logins != 1 || n.reads != 1 {
					t.Errorf("%+v", n)
				}
				if notes := strings.Join(record.Notes(), "\n"); !strings.Contains(notes, tt.text) {
					t.Errorf("notes: %q", notes)
				}
			}
			// Who keeps no token need not care.
			c.Auth = vault.Auth{Method: "token", Token: resolver.NewValue(server.RootToken)}
			succeed(t, c, "shared/db")
		})
	}
}

// Where nothing can be kept, starts do not wait for each other either.
func TestFullDoesNotQueue(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounts: run it as root")
	}
	const starts, each = 20, 200 * time.Millisecond
	c, logins := slowLogin(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		time.Sleep(each) // what is measured
		answer(200, "application/json", loginAnswer)(0, w, nil)
	})
	dir := t.TempDir()
	noError(t, unix.Mount("test", dir, "tmpfs", 0, "mode=0700,size=8k"))
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	noError(t, os.Mkdir(dir+"/vault", 0o700))
	_ = os.WriteFile(dir+"/filler", make([]byte, 64<<10), 0o600) // as much as there is room
	c.StateDir = dir
	begun := time.Now()
	together(starts, func(int) { succeed(t, c, "db") })
	if d := time.Since(begun); d > starts*each/2 || logins.Load() != starts {
		t.Errorf("%d logins in %s", logins.Load(), d)
	}
}
