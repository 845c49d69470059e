// SPDX-License-Identifier: Apache-2.0

// Package podman tests both ways into podman, root and rootless, with the real
// one: hooks.d with in-flight delivery, and the precreate filter.
//
// Everything happens in a mount namespace of its own, in which /run, /dev/shm
// and /var/lib/containers are empty and /etc and /var/lib are copies, so that nothing is shared with the
// podman of the host and everything podman could write to can be searched.
// crun, which refuses a host with both versions of control groups, also needs
// that. Rootless runs are those of a user made for the test run.
package podman

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// base holds all that the tests write, but for the namespace's own mounts.
var base string

// holder keeps the mount namespace while no container runs in it.
var holder *exec.Cmd

// mountPoint says that /var/lib/containers is only made to be mounted on.
var mountPoint bool

// rootless is the user of the rootless engine.
var rootless *user.User

const (
	userPrefix = "oci-sec-"            // and the pid of the test run
	basePrefix = "oci-secrets-podman-" // with the user's home below it
)

// namespace prepares the mount namespace, says so, and waits for its end.
const namespace = `
set -e
if grep -q ' /sys/fs/cgroup/unified ' /proc/self/mounts; then umount -l /sys/fs/cgroup/unified; fi
mkdir -p /var/lib/containers
mount -t tmpfs -o mode=755 tmpfs /run
for d in /etc /var/lib; do
	mkdir -p /run/own$d /run/work$d
	mount -t overlay -o lowerdir=$d,upperdir=/run/own$d,workdir=/run/work$d overlay $d
done
for d in /dev/shm /var/lib/containers /var/tmp; do mount -t tmpfs -o mode=755 tmpfs $d; done
chmod 1777 /dev/shm /var/tmp
mkdir -p -m 700 /run/user/$1
chown $1 /run/user/$1
echo ready
read _ || :
`

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		os.Exit(m.Run()) // every test fails or skips in rig.NeedRoot
	}
	if err := setUp(); err != nil {
		fmt.Fprintln(os.Stderr, "set up:", err)
		_ = tearDown()
		os.Exit(1)
	}
	code := m.Run()
	database.Close()
	if err := tearDown(); err != nil {
		fmt.Fprintln(os.Stderr, "left behind:", err)
		code = 1
	}
	os.Exit(code)
}

func setUp() error {
	removeStaleUsers()
	var err error
	if base, err = os.MkdirTemp("", basePrefix); err != nil {
		return err
	}
	if err := os.Chmod(base, 0o755); err != nil {
		return err
	}
	_, err = os.Stat("/var/lib/containers")
	mountPoint = errors.Is(err, fs.ErrNotExist)
	name := userPrefix + strconv.Itoa(os.Getpid())
	home := filepath.Join(base, "home")
	if out, err := exec.Command("useradd", "--create-home", "--home-dir", home, name).CombinedOutput(); err != nil {
		return fmt.Errorf("useradd: %w: %s", err, out)
	}
	if rootless, err = user.Lookup(name); err != nil {
		return err
	}
	holder = exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", namespace, "sh", rootless.Uid)
	holder.Stderr = os.Stderr
	// Its end of file ends the holder, however this process ends.
	if _, err := holder.StdinPipe(); err != nil {
		return err
	}
	out, err := holder.StdoutPipe()
	if err != nil {
		return err
	}
	if err := holder.Start(); err != nil {
		return err
	}
	ready := make([]byte, 6)
	if _, err := out.Read(ready); err != nil {
		return fmt.Errorf("prepare the mount namespace: %w", err)
	}
	return nil
}

// tearDown takes everything away, and fails where a test left a container or
// a process of ours behind.
func tearDown() error {
	var left []string
	for _, s := range stores {
		out, err := s.command("ps", "--all", "--external", "--format", "{{.Names}} {{.Status}}").CombinedOutput()
		if err != nil || len(bytes.TrimSpace(out)) > 0 {
			left = append(left, fmt.Sprintf("a container (%v): %s", err, out))
		}
		_ = s.command("pod", "rm", "--force", "--all", "--time", "0").Run()
		_ = s.command("rm", "--force", "--all", "--time", "0").Run()
	}
	if holder != nil && holder.Process != nil {
		// Podman's own process that keeps a user's namespace stays.
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			procs := slices.DeleteFunc(ours(), func(p proc) bool { return p.pause() })
			if len(procs) == 0 {
				break
			}
			if time.Now().After(deadline) {
				left = append(left, fmt.Sprintf("processes: %v", procs))
				break
			}
		}
		for _, p := range ours() {
			end(p.pid)
		}
		_ = holder.Process.Kill()
		_ = holder.Wait()
	}
	if rootless != nil {
		if err := removeUser(rootless.Username); err != nil {
			left = append(left, err.Error())
		}
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || base != "" && bytes.Contains(mounts, []byte(base)) {
		left = append(left, "a mount below "+base)
	}
	if mountPoint {
		_ = os.Remove("/var/lib/containers")
	}
	if base != "" {
		if err := os.RemoveAll(base); err != nil {
			left = append(left, err.Error())
		}
	}
	rig.Cleanup()
	if len(left) > 0 {
		return fmt.Errorf("%s", strings.Join(left, "\n"))
	}
	return nil
}

// proc is a process that a test started, or an engine for it.
type proc struct {
	pid     int
	cmdline string
}

func (p proc) String() string { return fmt.Sprintf("%d %q", p.pid, p.cmdline) }

// pause says that p is the process that keeps rootless podman's namespaces.
func (p proc) pause() bool {
	return p.cmdline == "podman" || strings.HasPrefix(p.cmdline, "catatonit -P")
}

// ours are the processes in the mount namespace, but for the holder, and those
// of the user.
func ours() []proc {
	uids := map[uint64]bool{}
	if rootless != nil {
		uid, _ := strconv.ParseUint(rootless.Uid, 10, 32)
		uids[uid] = true
	}
	from, count := subordinate()
	ns, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", holder.Process.Pid))
	var found []proc
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == holder.Process.Pid || pid == os.Getpid() {
			continue
		}
		uid := uidOf(pid)
		mnt, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", pid))
		if uids[uid] || uid >= from && uid < from+count || ns != "" && mnt == ns {
			cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			if err != nil || len(cmdline) == 0 {
				continue // it has ended, or is about to be waited for
			}
			found = append(found, proc{pid, strings.TrimSpace(strings.ReplaceAll(string(cmdline), "\x00", " "))})
		}
	}
	return found
}

// uidOf is the real uid of a process; one that is nobody's where it is gone.
func uidOf(pid int) uint64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Uid:" {
			uid, err := strconv.ParseUint(f[1], 10, 32)
			if err == nil {
				return uid
			}
		}
	}
	return 1<<32 - 1
}

// subordinate is the range of uids that the user's containers have.
func subordinate() (from, count uint64) {
	if rootless == nil {
		return 0, 0
	}
	b, _ := os.ReadFile("/etc/subuid")
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) == 3 && f[0] == rootless.Username {
			from, _ = strconv.ParseUint(f[1], 10, 32)
			count, _ = strconv.ParseUint(f[2], 10, 32)
		}
	}
	return from, count
}

func end(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Kill()
	}
}

func removeUser(name string) error {
	var out []byte
	var err error
	// userdel refuses while a process of the user is still on its way out.
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if out, err = exec.Command("userdel", name).CombinedOutput(); err == nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("userdel %s: %w: %s", name, err, out)
	}
	for _, file := range []string{"/etc/passwd", "/etc/group", "/etc/subuid", "/etc/subgid"} {
		if b, err := os.ReadFile(file); err != nil || bytes.Contains(b, []byte(name+":")) {
			return fmt.Errorf("%s still has %s (%w)", file, name, err)
		}
	}
	return nil
}

// removeStaleUsers removes the users of test runs that were killed.
func removeStaleUsers() {
	b, _ := os.ReadFile("/etc/passwd")
	for line := range strings.Lines(string(b)) {
		name, rest, _ := strings.Cut(line, ":")
		run, ok := strings.CutPrefix(name, userPrefix)
		pid, err := strconv.Atoi(run)
		if !ok || err != nil {
			continue
		}
		if _, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil {
			continue // that run goes on
		}
		f := strings.Split(rest, ":")
		uid, err := strconv.ParseUint(f[1], 10, 32)
		entries, _ := os.ReadDir("/proc")
		for _, e := range entries {
			if pid, atoi := strconv.Atoi(e.Name()); atoi == nil && err == nil && uid != 0 && uidOf(pid) == uid {
				end(pid)
			}
		}
		_ = removeUser(name)
		if dir := filepath.Dir(f[4]); strings.HasPrefix(filepath.Base(dir), basePrefix) {
			_ = os.RemoveAll(dir)
		}
	}
}
