// SPDX-License-Identifier: Apache-2.0

package dotenv

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

var _ resolver.Source = (*Source)(nil)

// directory makes files of mode 0600 below a new directory, whose path it
// gives.
func directory(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "env")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func symlink(t *testing.T, to, link string) {
	t.Helper()
	if err := os.Symlink(to, link); err != nil {
		t.Fatal(err)
	}
}

// pairs are the entries as "KEY=value".
func pairs(entries []resolver.Entry) []string {
	var p []string
	for _, e := range entries {
		p = append(p, e.Key+"="+e.Value.Reveal())
	}
	return p
}

// checkError compares an error with its class and text, in which DIR stands
// for the directory.
func checkError(t *testing.T, err error, class fault.Class, want, dir string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if c, _ := fault.ClassOf(err); c != class {
		t.Errorf("class %v, want %v", c, class)
	}
	if got := strings.ReplaceAll(err.Error(), dir, "DIR"); got != want {
		t.Errorf("error\n got %s\nwant %s", got, want)
	}
	for _, phrase := range []string{"permission denied", "operation not permitted", "no such file or directory"} {
		if strings.Contains(err.Error(), phrase) {
			t.Errorf("error %q has a phrase that podman searches for", err)
		}
	}
}

func TestGet(t *testing.T) {
	dir := directory(t, map[string]string{
		"web.env":            "FROM=web.env",
		"web/.env":           "FROM=web/.env",
		"db/.env":            "FROM=db/.env\nSECOND=2",
		".env":               "TOKEN=t\nweb=key\nBARE\nTWICE=1\nTWICE=2",
		"team/api.env":       "FROM=team/api.env",
		"team/queue/.env":    "FROM=team/queue/.env",
		"empty.env":          "",
		"user@corp.env":      "FROM=user@corp.env",
		"a b/.env":           "FROM=a b/.env",
		"inside/target.text": "FROM=target",
	})
	symlink(t, "inside/target.text", dir+"/link.env")
	for _, c := range []struct {
		name string
		want []string
	}{
		{"web", []string{"FROM=web.env"}},
		{"db", []string{"FROM=db/.env", "SECOND=2"}},
		{"", []string{"TOKEN=t", "web=key", "BARE=", "TWICE=2"}},
		{"team/api", []string{"FROM=team/api.env"}},
		{"team/queue", []string{"FROM=team/queue/.env"}},
		{"TOKEN", []string{"TOKEN=t"}},
		{"BARE", []string{"BARE="}},
		{"TWICE", []string{"TWICE=2"}},
		{"empty", nil},
		{"user@corp", []string{"FROM=user@corp.env"}},
		{"a b", []string{"FROM=a b/.env"}},
		{"link", []string{"FROM=target"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := New(dir, false).Get(t.Context(), c.name, 0)
			if err != nil {
				t.Fatal(err)
			}
			if got.Source != "dotenv" || got.Version != 0 {
				t.Errorf("source %q, version %d", got.Source, got.Version)
			}
			if d := cmp.Diff(c.want, pairs(got.Entries)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestGetMisses(t *testing.T) {
	dir := directory(t, map[string]string{".env": "TOKEN=t", "team/x": "", "file": ""})
	for _, c := range []struct {
		name    string
		version int
		want    string
	}{
		{"web", 0, "no DIR/web.env, no DIR/web/.env, no key web in DIR/.env"},
		{"team/api", 0, "no DIR/team/api.env, no DIR/team/api/.env"},
		{"team/TOKEN", 0, "no DIR/team/TOKEN.env, no DIR/team/TOKEN/.env"},
		{"none/api", 0, "no DIR/none/api.env, no DIR/none/api/.env"},
		{"file/api", 0, "no DIR/file/api.env, no DIR/file/api/.env"},
		{"TOKEN", 3, "dotenv has no versions, so none is 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := New(dir, false).Get(t.Context(), c.name, c.version)
			checkError(t, err, fault.Missing, c.want, dir)
		})
	}
	t.Run("no directory", func(t *testing.T) {
		_, err := New(dir+"/none", false).Get(t.Context(), "web", 0)
		checkError(t, err, fault.Missing, "the directory DIR/none does not exist", dir)
	})
	t.Run("empty name without .env", func(t *testing.T) {
		dir := directory(t, nil)
		_, err := New(dir, false).Get(t.Context(), "", 0)
		checkError(t, err, fault.Missing, "no DIR/.env", dir)
	})
}

func TestGetRefuses(t *testing.T) {
	const canary = "hunter2-canary"
	dir := directory(t, map[string]string{
		"broken.env":    "A=1\n\n\nB='" + canary + "' " + canary,
		"open.env":      "A=" + canary,
		"latin1.env":    "A=" + canary + "\xe9",
		"../stray.env":  "A=" + canary,
		"writable/.env": "A=" + canary,
	})
	for name, mode := range map[string]os.FileMode{"open.env": 0o644, "writable": 0o777} {
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	symlink(t, "../stray.env", dir+"/relative.env")
	symlink(t, filepath.Dir(dir)+"/stray.env", dir+"/absolute.env")
	symlink(t, "..", dir+"/up")
	for _, c := range []struct{ name, want string }{
		{"broken", "DIR/broken.env:4: text after the closing quote"},
		{"open", "DIR/open.env has mode 0644, so others can read it; it must have 0640 or 0600"},
		{"latin1", "DIR/latin1.env is not UTF-8 text"},
		{"writable", "DIR/writable has mode 0777, so its group can write it and others can write it; it must have 0755 or stricter"},
		{"relative", "DIR/relative.env is a symbolic link that leads out of its directory"},
		{"absolute", "DIR/absolute.env is a symbolic link that leads out of its directory"},
		{"up/stray", "DIR/up is a symbolic link that leads out of its directory"},
		{"../stray", `dotenv: the name "../stray" does not stay in DIR`},
		{"..", `dotenv: the name ".." does not stay in DIR`},
		{".", `dotenv: the name "." does not stay in DIR`},
		{"/etc/passwd", `dotenv: the name "/etc/passwd" does not stay in DIR`},
		{"team//api", `dotenv: the name "team//api" does not stay in DIR`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := New(dir, false).Get(t.Context(), c.name, 0)
			checkError(t, err, fault.Refused, c.want, dir)
			if strings.Contains(err.Error(), canary) {
				t.Errorf("the error %q shows a value", err)
			}
		})
	}
	t.Run("writable directory", func(t *testing.T) {
		dir := directory(t, nil)
		if err := os.Chmod(dir, 0o775); err != nil {
			t.Fatal(err)
		}
		_, err := New(dir, false).Get(t.Context(), "web", 0)
		checkError(t, err, fault.Refused, "DIR has mode 0775, so its group can write it; it must have 0755 or stricter", dir)
	})
	t.Run("broken .env hides no key", func(t *testing.T) {
		dir := directory(t, map[string]string{".env": "A='"})
		_, err := New(dir, false).Get(t.Context(), "web", 0)
		checkError(t, err, fault.Refused, "DIR/.env:1: the value's quote is never closed", dir)
	})
	t.Run("lenient", func(t *testing.T) {
		got, err := New(dir, true).Get(t.Context(), "broken", 0)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{"A=1"}, pairs(got.Entries)); d != "" {
			t.Error(d)
		}
	})
}

// TestNeighbours asks for single keys of a .env that has statements which cannot be
// read. They refuse a key whose value they may be a part of, or may be themselves.
func TestNeighbours(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"after it", "KEY=v\nB=2\nstray text\nC=3", "v"},
		{"before it", "stray text\nKEY=v", "v"},
		{"right after it: its second line", "A=1\nKEY=v\n\n# note\nstray text\nC=3", "5: text after the key, where = is wanted"},
		{"right after what may be its second line", "KEY=v\nABCD\nEFGH/+=\nC=3", "3: the key is not a variable name, which is letters, digits and _"},
		{"right after an earlier value", "KEY=1\nstray text\nKEY=v", "v"},
		{"right after a later value", "KEY=1\nB=2\nKEY=v\nstray text", "4: text after the key, where = is wanted"},
		{"a quote that it may be in", "A='x\nKEY=v", "1: the value's quote is never closed"},
		{"a quote that is opened later", "KEY=v\nB=1\nA='x", "v"},
		{"interpolated from what may be lost", "stray text\nKEY=${A:-v}", "1: text after the key, where = is wanted"},
		{"interpolated before", "A=v\nKEY=${A}\nB=1\nstray text", "v"},
		{"not there", "stray text\nA=1\nmore text", "1: text after the key, where = is wanted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := directory(t, map[string]string{".env": c.text, "broken.env": "stray text"})
			record := &resolver.Record{}
			got, err := New(dir, false).Get(resolver.WithRecord(t.Context(), record), "KEY", 0)
			if strings.Contains(c.want, ": ") {
				checkError(t, err, fault.Refused, "DIR/.env:"+c.want, dir)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff([]string{"KEY=" + c.want}, pairs(got.Entries)); d != "" {
				t.Error(d)
			}
			if notes := strings.Join(record.Notes(), "\n"); !strings.HasPrefix(notes, "dotenv: "+dir+"/.env:") || strings.Contains(notes, "\n") {
				t.Errorf("notes %q", notes)
			}
			if _, err := New(dir, false).Get(t.Context(), "", 0); err == nil {
				t.Error("the whole file is a secret in spite of it")
			}
			if got, err := New(dir, true).Get(t.Context(), "KEY", 0); err != nil || len(got.Entries) != 1 {
				t.Errorf("lenient: %v, %v", got, err)
			}
		})
	}
}

func TestGetConcurrently(t *testing.T) {
	s := New(directory(t, map[string]string{"web.env": "A=1"}), false)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := s.Get(t.Context(), "web", 0); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestPasted has files in which a value was pasted over several lines, so that
// all but its first line stand where keys do.
func TestPasted(t *testing.T) {
	const canary = "SUPERSECRET/hunter2+canary=="
	for name, tt := range map[string]struct {
		text, line string
		lenient    []string
	}{
		"base64": {"A=1\nKEY=wQNfzz\n" + canary + "\n", "3", []string{"A=1", "KEY=wQNfzz"}},
		"PEM": {
			"KEY=-----BEGIN PRIVATE KEY-----\nMIIEv/" + canary + "\n" + canary + "\n-----END PRIVATE KEY-----\nB=2\n",
			"2",
			[]string{"KEY=-----BEGIN PRIVATE KEY-----", "B=2"},
		},
		"swapped": {"'" + canary + "'=KEY\n", "1", nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := directory(t, map[string]string{"web.env": tt.text})
			_, err := New(dir, false).Get(t.Context(), "web", 0)
			checkError(t, err, fault.Refused, "DIR/web.env:"+tt.line+": the key is not a variable name, which is letters, digits and _", dir)
			if all := err.Error() + strings.Join(fault.Hints(err), ""); strings.Contains(all, "SUPERSECRET") || strings.Contains(all, "hunter2") {
				t.Errorf("the error shows a value: %s", all)
			}
			got, err := New(dir, true).Get(t.Context(), "web", 0)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.lenient, pairs(got.Entries)); d != "" {
				t.Error(d)
			}
		})
	}
}
