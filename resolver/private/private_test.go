// SPDX-License-Identifier: Apache-2.0

package private

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// write makes a file of exactly this mode, whatever the umask.
func write(t *testing.T, name, content string, mode fs.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	chmod(t, name, mode)
	return name
}

// opens makes the checks of OpenRoot alone.
func opens(dir string) error {
	root, err := OpenRoot(dir)
	if err != nil {
		return err
	}
	return root.Close()
}

func chmod(t *testing.T, name string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}

// check compares an error with its wanted text ("" for none), its hint, and
// what holds for every refusal.
func check(t *testing.T, err error, text, hint string) {
	t.Helper()
	if text == "" {
		if err != nil {
			t.Fatalf("error %v", err)
		}
		return
	}
	if err == nil {
		t.Fatalf("no error, want %q", text)
	}
	if err.Error() != text {
		t.Errorf("error text %q, want %q", err, text)
	}
	for _, phrase := range []string{"permission denied", "operation not permitted", "no such file or directory"} {
		if strings.Contains(err.Error(), phrase) {
			t.Errorf("error %q has a phrase that podman searches for", err)
		}
	}
	if c, _ := fault.ClassOf(err); c != fault.Refused {
		t.Errorf("class %v, want refused", c)
	}
	if got := strings.Join(fault.Hints(err), "|"); got != hint {
		t.Errorf("hint %q, want %q", got, hint)
	}
}

func TestModes(t *testing.T) {
	secretWants, trustedWants := "; it must have 0640 or 0600", "; it must have 0644 or stricter"
	for _, c := range []struct {
		mode            fs.FileMode
		secret, trusted string
	}{
		{0o600, "", ""},
		{0o640, "", ""},
		{0o400, "", ""},
		{0o750, "", ""},
		{0o644, "has mode 0644, so others can read it" + secretWants, ""},
		{0o604, "has mode 0604, so others can read it" + secretWants, ""},
		{0o660, "has mode 0660, so its group can write it" + secretWants, "has mode 0660, so its group can write it" + trustedWants},
		{0o602, "has mode 0602, so others can write it" + secretWants, "has mode 0602, so others can write it" + trustedWants},
		{
			0o666, "has mode 0666, so its group can write it and others can write it and others can read it" + secretWants,
			"has mode 0666, so its group can write it and others can write it" + trustedWants,
		},
	} {
		t.Run(c.mode.String(), func(t *testing.T) {
			dir := t.TempDir()
			name := write(t, filepath.Join(dir, "f"), "content", c.mode)
			root, err := OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			for _, r := range []struct {
				how, want, chmod string
				read             func() ([]byte, error)
			}{
				{"Read", c.secret, "chmod 0640 ", func() ([]byte, error) { return Read(name) }},
				{"ReadIn", c.secret, "chmod 0640 ", func() ([]byte, error) { return ReadIn(root, "f") }},
				{"ReadTrusted", c.trusted, "chmod 0644 ", func() ([]byte, error) { return ReadTrusted(name) }},
			} {
				t.Run(r.how, func(t *testing.T) {
					data, err := r.read()
					if r.want == "" {
						check(t, err, "", "")
						if string(data) != "content" {
							t.Errorf("read %q", data)
						}
						return
					}
					check(t, err, name+" "+r.want, r.chmod+name)
				})
			}
		})
	}
}

// TestReadEither has the verdict of Read with the content of ReadTrusted.
func TestReadEither(t *testing.T) {
	for mode, want := range map[fs.FileMode]string{0o600: "", 0o640: "", 0o644: " has mode 0644, so others can read it; it must have 0640 or 0600"} {
		name := write(t, filepath.Join(t.TempDir(), "f"), "content", mode)
		data, exposed, err := ReadEither(name)
		if err != nil || string(data) != "content" {
			t.Errorf("%v: read %q, %v", mode, data, err)
		}
		if want != "" {
			want = name + want
		}
		check(t, exposed, want, "chmod 0640 "+name)
	}
}

func TestDirectoryModes(t *testing.T) {
	for mode, want := range map[fs.FileMode]string{
		0o755:                 "",
		0o700:                 "",
		0o775:                 "has mode 0775, so its group can write it",
		0o777:                 "has mode 0777, so its group can write it and others can write it",
		0o777 | fs.ModeSticky: "has mode 0777, so its group can write it and others can write it",
	} {
		t.Run(mode.String(), func(t *testing.T) {
			dir := t.TempDir()
			chmod(t, dir, mode)
			text := ""
			if want != "" {
				text = dir + " " + want + "; it must have 0755 or stricter"
			}
			check(t, opens(dir), text, "chmod 0755 "+dir)
			name := write(t, filepath.Join(dir, "f"), "", 0o600)
			if mode&fs.ModeSticky != 0 {
				text = "" // nobody replaces this file, while one that is not there yet can be added
			}
			_, err := Read(name)
			check(t, err, text, "chmod 0755 "+dir)
			_, err = ReadTrusted(name)
			check(t, err, text, "chmod 0755 "+dir)
		})
	}
	t.Run("on the way", func(t *testing.T) {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "a/b/f"), "", 0o600)
		chmod(t, filepath.Join(dir, "a"), 0o777)
		root, err := OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		_, err = ReadIn(root, "a/b/f")
		check(t, err, dir+"/a has mode 0777, so its group can write it and others can write it; it must have 0755 or stricter", "chmod 0755 "+dir+"/a")
	})
}

func TestAbsent(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "file"), "", 0o600)
	if err := os.Symlink("nowhere", filepath.Join(dir, "dangling")); err != nil {
		t.Fatal(err)
	}
	root, err := OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for name, read := range map[string]func() error{
		"Read":          func() error { _, err := Read(dir + "/none"); return err },
		"ReadTrusted":   func() error { _, err := ReadTrusted(dir + "/none"); return err },
		"ReadIn":        func() error { _, err := ReadIn(root, "none"); return err },
		"no directory":  func() error { _, err := ReadIn(root, "none/none"); return err },
		"dangling link": func() error { _, err := ReadIn(root, "dangling"); return err },
		"below a file":  func() error { _, err := Read(file + "/none"); return err },
		"in below file": func() error { _, err := ReadIn(root, "file/none"); return err },
		"OpenRoot":      func() error { return opens(dir + "/none") },
	} {
		t.Run(name, func(t *testing.T) {
			err := read()
			if !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("error %v, want fs.ErrNotExist", err)
			}
			if !strings.HasSuffix(err.Error(), " does not exist") {
				t.Errorf("error text %q", err)
			}
			if c, ok := fault.ClassOf(err); ok {
				t.Errorf("an absence has the class %v", c)
			}
		})
	}
}

// within fails a test that waits, as an open of a named pipe would.
func within(t *testing.T, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("hangs")
	}
}

func TestNotRegular(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	within(t, func() {
		_, err := Read(fifo)
		check(t, err, fifo+" is a named pipe, and must be a regular file", "")
	})
	within(t, func() { check(t, opens(fifo), fifo+" is not a directory", "") })
	_, err := Read(dir)
	check(t, err, dir+" is a directory, and must be a regular file", "")
	_, err = ReadTrusted("/dev/null")
	check(t, err, "/dev/null is a device, and must be a regular file", "")
}

func TestSize(t *testing.T) {
	name := write(t, filepath.Join(t.TempDir(), "f"), "", 0o600)
	if err := os.Truncate(name, maxSize); err != nil {
		t.Fatal(err)
	}
	if data, err := Read(name); err != nil || !bytes.Equal(data, make([]byte, maxSize)) {
		t.Errorf("at the limit: %d bytes, error %v", len(data), err)
	}
	if err := os.Truncate(name, maxSize+1); err != nil {
		t.Fatal(err)
	}
	_, err := Read(name)
	check(t, err, name+" is larger than 16777216 bytes", "")
}

func TestRootIsNotLeft(t *testing.T) {
	top := t.TempDir()
	write(t, top+"/outside", "", 0o600)
	write(t, top+"/dir/inside", "content", 0o600)
	for link, to := range map[string]string{
		"up": "../outside", "absolute": top + "/dir/inside", "loop": "loop", "fine": "inside", "parent": "..",
	} {
		if err := os.Symlink(to, filepath.Join(top, "dir", link)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := OpenRoot(top + "/dir")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	hint := "put the file itself there, or a relative link that stays in the directory"
	for _, c := range []struct{ name, want, hint string }{
		{"inside", "", ""},
		{"fine", "", ""},
		{"up", top + "/dir/up is a symbolic link that leads out of its directory", hint},
		{"absolute", top + "/dir/absolute is a symbolic link that leads out of its directory", hint},
		{"parent/outside", top + "/dir/parent is a symbolic link that leads out of its directory", hint},
		{"loop", top + "/dir/loop cannot be read: too many symbolic links", ""},
		{"../outside", top + "/outside is not a path below " + top + "/dir", ""},
		{"parent/../inside", top + "/dir/inside is not a path below " + top + "/dir", ""},
		{"/etc/hostname", top + "/dir/etc/hostname is not a path below " + top + "/dir", ""},
		{".", top + "/dir is not a path below " + top + "/dir", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ReadIn(root, c.name)
			check(t, err, c.want, c.hint)
		})
	}
}
