// SPDX-License-Identifier: Apache-2.0

package private

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shared is a directory with one of another user's in it, and beside that the
// things that this user would like root to open: a file, a directory.
func shared(t *testing.T) (dir, theirs string) {
	t.Helper()
	if os.Geteuid() != 0 || inUserNS() {
		t.Skip("only the host's root can give files away")
	}
	dir = t.TempDir()
	write(t, dir+"/root/f", "root's", 0o600)
	theirs = dir + "/theirs"
	if err := os.Mkdir(theirs, 0o755); err != nil {
		t.Fatal(err)
	}
	give(t, theirs)
	return dir, theirs
}

func give(t *testing.T, name string) {
	t.Helper()
	if err := os.Lchown(name, 12345, 12345); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, name string) string {
	t.Helper()
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestLocate has links that root may follow, and others.
func TestLocate(t *testing.T) {
	for name, tt := range map[string]struct {
		path   func(t *testing.T, dir, theirs string) string
		refuse bool
	}{
		"no link": {path: func(_ *testing.T, dir, _ string) string { return dir + "/root/f" }},
		"ours":    {path: func(t *testing.T, dir, _ string) string { return link(t, "root/f", dir+"/ours") }},
		"ours, upwards and absolute": {path: func(t *testing.T, dir, _ string) string {
			link(t, dir+"/root", dir+"/one")
			return link(t, "../"+filepath.Base(dir)+"/one/f", dir+"/two")
		}},
		"ours, on the way": {path: func(t *testing.T, dir, _ string) string { return link(t, "root", dir+"/way") + "/f" }},
		"ours, in a directory with the sticky bit": {path: func(t *testing.T, dir, _ string) string {
			chmod(t, dir, 0o777|fs.ModeSticky)
			return link(t, "root/f", dir+"/ours")
		}},
		"theirs, in a directory with the sticky bit": {refuse: true, path: func(t *testing.T, dir, _ string) string {
			chmod(t, dir, 0o777|fs.ModeSticky)
			l := link(t, "root/f", dir+"/theirs.f")
			give(t, l)
			return l
		}},
		"in their directory":             {refuse: true, path: func(t *testing.T, dir, theirs string) string { return link(t, dir+"/root/f", theirs+"/f") }},
		"in their directory, on the way": {refuse: true, path: func(t *testing.T, _, theirs string) string { return link(t, "../root", theirs+"/way") + "/f" }},
		"in their directory, after ours": {refuse: true, path: func(t *testing.T, dir, theirs string) string {
			link(t, "../root/f", theirs+"/f")
			return link(t, theirs, dir+"/ours") + "/f"
		}},
		"where all can write": {refuse: true, path: func(t *testing.T, dir, _ string) string {
			chmod(t, dir, 0o777)
			return link(t, "root/f", dir+"/f")
		}},
		"where the group can write": {refuse: true, path: func(t *testing.T, dir, _ string) string {
			chmod(t, dir, 0o775)
			return link(t, "root", dir+"/way") + "/f"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, theirs := shared(t)
			path := tt.path(t, dir, theirs)
			p, err := Locate(path)
			if tt.refuse {
				if err == nil || !strings.Contains(err.Error(), "which others can put there") {
					t.Fatalf("error %v", err)
				}
				if _, err := Read(path); err == nil {
					t.Error("its file is read")
				}
				if _, err := Open(filepath.Dir(path)); err == nil && filepath.Base(path) == "f" && filepath.Base(filepath.Dir(path)) == "way" {
					t.Error("its directory is opened")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if b, err := os.ReadFile(p.Path()); err != nil || string(b) != "root's" {
				t.Errorf("found %q, %v", b, err)
			}
		})
	}
}

// TestSticky reads single files in a directory with the sticky bit, where all can
// add files and nobody can replace root's.
func TestSticky(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(t *testing.T, dir, theirs string)
		want   string
	}{
		"root's":          {change: func(*testing.T, string, string) {}},
		"theirs":          {change: func(t *testing.T, dir, _ string) { give(t, dir+"/f") }, want: "belongs to uid 12345"},
		"their directory": {change: func(t *testing.T, dir, _ string) { give(t, dir) }, want: "has mode 0777, so"},
		"a second name of one that is elsewhere": {change: func(t *testing.T, dir, _ string) {
			if err := errors.Join(os.Remove(dir+"/f"), os.Link(dir+"/root/f", dir+"/f")); err != nil {
				t.Fatal(err)
			}
		}, want: "is a hard link, in a directory where others can write"},
		"their link": {change: func(t *testing.T, dir, _ string) {
			if err := os.Remove(dir + "/f"); err != nil {
				t.Fatal(err)
			}
			give(t, link(t, "root/f", dir+"/f"))
		}, want: "which others can put there"},
		"without the bit": {change: func(t *testing.T, dir, _ string) { chmod(t, dir, 0o777) }, want: "has mode 0777, so"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, theirs := shared(t)
			write(t, dir+"/f", "content", 0o600)
			chmod(t, dir, 0o777|fs.ModeSticky)
			tt.change(t, dir, theirs)
			data, err := Read(dir + "/f")
			if tt.want == "" && (err != nil || string(data) != "content") || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("read %q, error %v, want %q", data, err, tt.want)
			}
		})
	}
}

// TestMakeAll makes directories, and none where another's link leads.
func TestMakeAll(t *testing.T) {
	dir, theirs := shared(t)
	if err := MakeAll(dir + "/a/b/c"); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(dir + "/a/b/c"); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("made %v, %v", info, err)
	}
	link(t, dir+"/root", theirs+"/way")
	if err := MakeAll(theirs + "/way/new/one"); err == nil {
		t.Error("it follows their link")
	}
	if _, err := os.Stat(dir + "/root/new"); err == nil {
		t.Error("it made a directory where their link leads")
	}
}

// TestAlso reads files of a user who counts besides, and of others.
func TestAlso(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(t *testing.T, dir string)
		also   []uint32
		want   string
	}{
		"theirs":                     {func(t *testing.T, dir string) { give(t, dir+"/f") }, []uint32{12345}, ""},
		"their directory":            {func(t *testing.T, dir string) { give(t, dir) }, []uint32{12345}, ""},
		"their sticky directory":     {func(t *testing.T, dir string) { give(t, dir); chmod(t, dir, 0o777|fs.ModeSticky) }, []uint32{12345}, ""},
		"theirs, open to all":        {func(t *testing.T, dir string) { give(t, dir+"/f"); chmod(t, dir+"/f", 0o644) }, []uint32{12345}, "has mode 0644, so"},
		"another's":                  {func(t *testing.T, dir string) { give(t, dir+"/f") }, []uint32{12346}, "belongs to uid 12345"},
		"another's directory":        {func(t *testing.T, dir string) { give(t, dir) }, []uint32{12346}, "belongs to uid 12345"},
		"their open directory":       {func(t *testing.T, dir string) { give(t, dir); chmod(t, dir, 0o777) }, []uint32{12345}, "has mode 0777, so"},
		"theirs, and nobody counts":  {func(t *testing.T, dir string) { give(t, dir+"/f") }, nil, "belongs to uid 12345"},
		"their directory, and so on": {func(t *testing.T, dir string) { give(t, dir) }, nil, "belongs to uid 12345"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := shared(t)
			write(t, dir+"/f", "content", 0o600)
			tt.change(t, dir)
			data, err := Read(dir+"/f", tt.also...)
			if tt.want == "" && (err != nil || string(data) != "content") || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("read %q, error %v, want %q", data, err, tt.want)
			}
		})
	}
}
