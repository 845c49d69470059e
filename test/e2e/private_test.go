// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// TestTracerIsPrivate looks at a waiting tracer from outside, as root.
func TestTracerIsPrivate(t *testing.T) {
	runtimes(t, func(t *testing.T, name string) {
		value := rig.Canary()
		r := rig.NewRuntime(t, name)
		b, _ := marking(t, "", value, "mark")
		// A hook that was left more descriptors than runtimes leave it.
		wrapper := filepath.Join(t.TempDir(), "wrapper")
		rig.WriteFile(t, wrapper, fmt.Sprintf("#!/bin/sh\nexec 7<%[2]s 9>/dev/zero\nexec %[1]s hook --config %[2]s\n", rig.Binary(t), b.Config), 0o755)
		b.Hook(t, "createRuntime", wrapper)
		b.Write(t)
		tracer := rig.TracerOf(t, r.Create(t, b))
		dir := filepath.Join("/proc", strconv.Itoa(tracer))

		noCore(t, tracer)
		if locked := rig.StatusField(tracer, "VmLck"); locked == "" || locked == "0 kB" {
			t.Errorf("VmLck: %q", locked)
		}
		if found := rig.Find(t, value, dir+"/cmdline", dir+"/environ"); found != nil {
			t.Errorf("the value is in %q", found)
		}
		fds, err := os.ReadDir(dir + "/fd")
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range fds {
			target, err := os.Readlink(filepath.Join(dir, "fd", fd.Name()))
			if err != nil || target != "/dev/null" && target != "anon_inode:[eventpoll]" && target != "anon_inode:[eventfd]" {
				t.Errorf("descriptor %s is %s, %v", fd.Name(), target, err)
			}
		}
		if session, err := unix.Getsid(tracer); err != nil || session != tracer {
			t.Errorf("its session is %d, %v", session, err)
		}
		if cwd, err := os.Readlink(dir + "/cwd"); err != nil || cwd != "/" {
			t.Errorf("its directory is %q, %v", cwd, err)
		}
		// The value is in one place: locked, not dumped, not inherited.
		where := holding(t, tracer, value)
		if len(where) != 1 {
			t.Fatalf("the value is in %d mappings: %q", len(where), where)
		}
		for _, flag := range []string{"lo", "dd", "dc"} {
			if !slices.Contains(strings.Fields(where[0]), flag) {
				t.Errorf("the mapping with the value has not the flag %q: %s", flag, where[0])
			}
		}
	})
}

// holding gives the flags of each of a process's mappings that value is in.
func holding(t *testing.T, pid int, value string) []string {
	t.Helper()
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	mem, err := os.Open(dir + "/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close() //nolint:errcheck // only read from
	var flags []string
	found, searched := false, 0
	for line := range strings.Lines(read(t, dir+"/smaps")) {
		var start, end int64
		var mode string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &start, &end, &mode); n == 3 {
			found = false
			if mode[0] != 'r' || end-start > 256<<20 {
				continue
			}
			b := make([]byte, end-start)
			n, _ := mem.ReadAt(b, start) // [vvar] cannot be read
			searched += n
			found = bytes.Contains(b[:n], []byte(value))
		}
		if rest, ok := strings.CutPrefix(line, "VmFlags:"); ok && found {
			flags = append(flags, rest)
		}
	}
	if searched < 1<<20 {
		t.Errorf("only %d bytes were searched", searched)
	}
	return flags
}

func noCore(t *testing.T, pid int) {
	t.Helper()
	for line := range strings.Lines(read(t, filepath.Join("/proc", strconv.Itoa(pid), "limits"))) {
		if rest, ok := strings.CutPrefix(line, "Max core file size"); ok {
			if f := strings.Fields(rest); f[0] == "0" && f[1] == "0" {
				return
			}
			t.Errorf("process %d: %s", pid, line)
		}
	}
}

// TestHookIsPrivate looks at the hook, and at the tracer that it has started,
// while it waits for a Vault, with a value from the dict in hand.
func TestHookIsPrivate(t *testing.T) {
	runtimes(t, func(t *testing.T, name string) {
		value := rig.Canary()
		r := rig.NewRuntime(t, name)
		b, _ := marking(t, "createRuntime", value, "mark")
		server := silence(t)
		vault(t, b, server.addr, "30s")
		b.Write(t)
		_, wait := begin(t, r.Argv("run", "--bundle", b.Dir, b.ID)...)
		<-server.accepted
		pid := hookOf(t, b)
		for _, p := range ours(b.Config, b.ID) {
			dir := filepath.Join("/proc", strconv.Itoa(p))
			if found := rig.Find(t, value, dir+"/cmdline", dir+"/environ"); found != nil {
				t.Errorf("the value is in %q", found)
			}
		}
		noCore(t, pid)
		// SIGTERM, of an engine's timeout, say, ends it as any failure does.
		kill(t, pid, unix.SIGTERM)
		if code := wait(); code == 0 {
			t.Error("the container is not refused")
		}
		rig.Eventually(t, "hook and tracer end", func() bool { return ours(b.Config, b.ID) == nil })
	})
}

// TestUnprivilegedTracer runs hook and tracer as an ordinary user, and has
// another process of that user look at them. It finds nothing to read, which
// it would if they could dump core: the kernel asks the same for both.
func TestUnprivilegedTracer(t *testing.T) {
	rig.NeedRoot(t)
	const user = 1000
	value := rig.Canary()
	b := bundle(t, "", value)
	settings := filepath.Dir(b.Config)
	for _, path := range []string{settings, b.Config, settings + "/secrets.json"} {
		if err := os.Chown(path, user, user); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	if err := os.Chown(dir, user, user); err != nil {
		t.Fatal(err)
	}
	for d := dir; d != base; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil { // the user must pass
			t.Fatal(err)
		}
	}
	as := []string{"setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups"}

	// What a rootless runtime is, reduced to what counts here: the parent of a
	// process with mounts of its own, and of the hook.
	before, after, _ := strings.Cut(stateOf(t, b, 987654321), "987654321")
	script := `cd "$1"; before=$2 after=$3; shift 3
unshare -U -m sleep 100 &
until [ "$(cat /proc/$!/comm)" = sleep ]; do :; done
printf '%s%s%s' "$before" $! "$after" >state
"$@" <state
echo $? $! >code.new
mv code.new code
wait`
	argv := append(slices.Clone(as), "sh", "-c", script, "sh", dir, before, after, rig.Binary(t), "hook", "--config", b.Config)
	runtime := sleeper(t, argv...)
	var code, init int
	rig.Eventually(t, "the hook ends", func() bool {
		text, _ := os.ReadFile(dir + "/code")
		n, _ := fmt.Sscan(string(text), &code, &init)
		return n == 2
	})
	if code != 0 {
		t.Fatalf("the hook's exit code is %d", code)
	}
	tracer := rig.TracerOf(t, init)
	if got := rig.StatusField(tracer, "Uid"); !strings.HasPrefix(got, "1000\t") {
		t.Fatalf("the tracer %d is of user %q", tracer, got)
	}
	noCore(t, tracer)
	for _, name := range []string{"environ", "mem", "maps", "fd"} {
		of := func(pid int) string { return filepath.Join("/proc", strconv.Itoa(pid), name) }
		look := func(pid int) int {
			return rig.Run(t, append(slices.Clone(as), "sh", "-c", `if [ -d "$1" ]; then ls "$1"; else exec 3<"$1"; fi`, "sh", of(pid))...).Code
		}
		if code := look(runtime); code != 0 {
			t.Errorf("%s of a process that can be looked at: exit code %d", name, code)
		}
		if code := look(tracer); code == 0 {
			t.Errorf("%s of the tracer can be opened", name)
		}
		if got := owner(t, of(tracer)); got != 0 {
			t.Errorf("%s of the tracer belongs to user %d", name, got)
		}
	}
}

func owner(t *testing.T, path string) uint32 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatal(fs.ErrInvalid)
	}
	return s.Uid
}
