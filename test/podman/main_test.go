// SPDX-License-Identifier: Apache-2.0

// Package podman tests both ways into podman, root and rootless, with the real
// one: hooks.d with in-flight delivery, and the precreate filter.
//
// Everything happens in a mount namespace of its own, in which /run, /dev/shm,
// /tmp, /var/tmp and /var/lib/containers are empty and /etc and /var/lib are copies
// without what podman and oci-secrets have there, so that nothing is shared with the
// podman of the host, everything podman could write to can be searched, and nothing of
// it stays. crun, which refuses a host with both versions of control groups, also needs
// that. Rootless runs are those of a user that is known there alone.
package podman

import (
	"bytes"
	"fmt"
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

// rootless is the user of the rootless engine, whose containers have 65536 user ids
// from subordinate on.
var (
	rootless    *user.User
	subordinate uint64
)

// namespace prepares the mount namespace, with base, the tests' directory, at its
// place. Then it makes the user, says so, and waits for its end.
const namespace = `
set -e
base=$1 user=$2 uid=$3 subordinate=$4
if grep -q ' /sys/fs/cgroup/unified ' /proc/self/mounts; then umount -l /sys/fs/cgroup/unified; fi
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/base
mount --bind "$base" /run/base
for d in /etc /var/lib; do
	mkdir -p /run/own$d /run/work$d
	mount -t overlay -o lowerdir=$d,upperdir=/run/own$d,workdir=/run/work$d overlay $d
done
cd /` + rig.Uninstalled + `
mkdir -p /var/lib/containers
for d in /dev/shm /tmp /var/lib/containers /var/tmp; do mount -t tmpfs -o mode=755 tmpfs $d; done
chmod 1777 /dev/shm /tmp /var/tmp
mkdir -p "$base"
mount --move /run/base "$base"
echo "$user:x:$uid:$uid::$base/home:/bin/sh" >>/etc/passwd
echo "$user:x:$uid:" >>/etc/group
echo "$user:$subordinate:65536" | tee -a /etc/subuid >>/etc/subgid
mkdir -m 755 "$base/home"
mkdir -p -m 700 /run/user/$uid
chown $uid:$uid "$base/home" /run/user/$uid
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
	var err error
	if base, err = os.MkdirTemp("", "oci-secrets-podman-"); err != nil {
		return err
	}
	if err := os.Chmod(base, 0o755); err != nil {
		return err
	}
	if err := os.Setenv("TMPDIR", base); err != nil { // what the tests make is to be seen in the namespace
		return err
	}
	// A user that no machine and no other test run has: it looks for the processes of
	// its own. The owner of what it imports must be below 65536 in a container, too.
	run := os.Getpid() % 16384
	id := strconv.Itoa(20000 + run)
	for _, err := user.LookupId(id); err == nil; _, err = user.LookupId(id) {
		run = (run + 1) % 16384
		id = strconv.Itoa(20000 + run)
	}
	rootless = &user.User{Uid: id, Gid: id, Username: "oci-secrets", HomeDir: filepath.Join(base, "home")}
	subordinate = uint64(16384+run) << 16
	holder = exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", namespace, "sh",
		base, rootless.Username, id, strconv.FormatUint(subordinate, 10))
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
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || base != "" && bytes.Contains(mounts, []byte(base)) {
		left = append(left, "a mount below "+base)
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
	user, _ := strconv.ParseUint(rootless.Uid, 10, 32)
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
		if uid == user || uid >= subordinate && uid < subordinate+65536 || ns != "" && mnt == ns {
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

func end(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Kill()
	}
}
