// SPDX-License-Identifier: Apache-2.0

package package_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// root is a root file system to install into: the machine's own, with all that
// is written to it in memory.
type root struct {
	holder int    // the process that keeps the mount namespace
	upper  string // what was written
}

// overlay mounts it at $1, says so, and waits for its end. Engines of the
// machine are none of the tests' business, nor are its users. A file system
// with /run is always another one, and so is it here.
const overlay = `
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
cd "$1/root"
` + rig.Uninstalled + `
rm -rf etc/containers opt usr/share/containers
printf 'root:x:0:0::/root:/bin/sh\nsomebody:x:1000:1000::/home/somebody:/bin/sh\n' >etc/passwd
mount -t proc proc proc
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev # the machine's is shared with all that runs on it
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/urandom c 1 9
if chroot . dpkg --status oci-secrets >/dev/null 2>&1; then chroot . dpkg --purge oci-secrets >&2; fi
echo ready
read _ || :
`

func newRoot(t *testing.T) *root {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", overlay, "sh", dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe() // its end of file ends the holder, however this process ends
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("mount an overlay: %q, %v", line, err)
	}
	return &root{cmd.Process.Pid, fmt.Sprintf("/proc/%d/root%s/upper", cmd.Process.Pid, dir)}
}

// path is where a file of the root is.
func (r *root) path(name string) string {
	return filepath.Join(filepath.Dir(r.upper), "root", name)
}

// run runs a command there.
func (r *root) run(t *testing.T, argv ...string) rig.Result {
	t.Helper()
	enter := []string{
		"nsenter", "--mount=/proc/" + strconv.Itoa(r.holder) + "/ns/mnt", "chroot", strings.TrimPrefix(r.path(""), fmt.Sprintf("/proc/%d/root", r.holder)),
		"env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive",
	}
	return rig.Run(t, append(enter, argv...)...)
}

func (r *root) must(t *testing.T, argv ...string) rig.Result {
	t.Helper()
	res := r.run(t, argv...)
	if res.Code != 0 {
		t.Fatalf("%q: exit code %d\n%s%s", argv, res.Code, res.Stdout, res.Stderr)
	}
	return res
}

// write writes a file there, or a link where the text is "-> " and a target, and
// gives a function that takes away what was made.
func (r *root) write(t *testing.T, name, text string) func() {
	t.Helper()
	path := r.path(name)
	made := path
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		made = dir
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if to, ok := strings.CutPrefix(text, "-> "); ok {
		if err := os.Symlink(to, path); err != nil {
			t.Fatal(err)
		}
	} else {
		rig.WriteFile(t, path, text, 0o644)
	}
	return func() {
		if err := os.RemoveAll(made); err != nil {
			t.Fatal(err)
		}
	}
}

// left is what was written to the root, but for what dpkg notes down for itself.
// Directories of the machine are in an overlay's upper layer when something below
// them was.
func (r *root) left(t *testing.T) string {
	t.Helper()
	var list strings.Builder
	for line := range strings.Lines(tree(t, r.upper)) {
		path := strings.Fields(line)[1]
		if info, err := os.Lstat(path); err == nil && info.IsDir() && line[0] == 'd' {
			continue
		}
		if !strings.HasPrefix(path, "/var/lib/dpkg/") && !strings.HasPrefix(path, "/var/log/") && !strings.HasPrefix(path, "/var/cache/man/") {
			list.WriteString(line)
		}
	}
	return list.String()
}
