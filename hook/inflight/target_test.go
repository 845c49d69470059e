// SPDX-License-Identifier: Apache-2.0

package inflight

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// spawn starts a program that lives until the test ends.
func spawn(t *testing.T, path string) *exec.Cmd {
	t.Helper()
	cmd, _ := echoing(t, path)
	return cmd
}

// echoing is spawn with a way to ask a cat for a sign of life.
func echoing(t *testing.T, path string) (cmd *exec.Cmd, echo func() error) {
	t.Helper()
	cmd = exec.Command(path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd, func() error {
		if _, err := in.Write([]byte{'x'}); err != nil {
			return err
		}
		_, err := out.Read(make([]byte, 1))
		return err
	}
}

// copyOf is a copy of cat under another name.
func copyOf(t *testing.T, name string) string {
	t.Helper()
	cat, err := exec.LookPath("cat")
	if err != nil {
		t.Fatal(err)
	}
	src, err := os.Open(cat)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close() //nolint:errcheck // only read from
	path := filepath.Join(t.TempDir(), name)
	dst, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(dst, src); err != nil {
		t.Fatal(err)
	}
	if err := dst.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// setName sets a process's name (comm), which may be anything.
func setName(t *testing.T, pid int, name string) {
	t.Helper()
	if err := os.WriteFile(procFile(pid, "comm"), []byte(name), 0); err != nil {
		t.Skipf("another process's name cannot be set here: %v", err)
	}
}

func procFile(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}

func TestParentOf(t *testing.T) {
	// A shell may name itself what it likes; a process's name has 15 bytes.
	for _, name := range []string{"cat", ") S 1 (", ") S 1 1 1", "a b) R 2 (c", "(((", ")))", "\n) S 1\n"} {
		cmd := exec.Command("sh", "-c", `printf %s "$1" >/proc/$$/comm; echo; read line`, "sh", name)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if n, err := out.Read(make([]byte, 1)); n != 1 {
			t.Fatal(err)
		}
		comm, err := os.ReadFile(procFile(cmd.Process.Pid, "comm"))
		if err != nil || strings.TrimSuffix(string(comm), "\n") != name {
			t.Fatalf("the name is %q, %v", comm, err)
		}
		if got, err := parentOf(cmd.Process.Pid); err != nil || got != os.Getpid() {
			t.Errorf("the parent of %q is %d, %v; want %d", name, got, err, os.Getpid())
		}
		_ = in.Close()
		_ = cmd.Wait() // read fails at the end of input
	}
	if got, err := parentOf(noPID); err == nil {
		t.Errorf("the parent of nobody is %d", got)
	}
}

// noPID is above every pid that a kernel gives (PID_MAX_LIMIT).
const noPID = 1 << 23

func TestIsAncestor(t *testing.T) {
	child := spawn(t, copyOf(t, "child"))
	grand, err := parentOf(os.Getppid())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		who  string
		pid  int
		want bool
	}{
		{"the parent", os.Getppid(), true},
		{"the parent's parent", grand, grand > 0},
		{"this process", os.Getpid(), false},
		{"a child", child.Process.Pid, false},
		{"nobody", noPID, false},
		{"0", 0, false},
		{"-1", -1, false},
	} {
		if got := isAncestor(tt.pid); got != tt.want {
			t.Errorf("%s is an ancestor: %v", tt.who, got)
		}
	}
}

func TestMachineName(t *testing.T) {
	for name, want := range map[string]string{
		"runsc-sandbox":           "gVisor",
		"runsc":                   "gVisor",
		"containerd-shim-kata-v2": "a Kata machine",
		"kata-runtime":            "a Kata machine",
		"qemu-system-x86_64":      "a qemu machine",
		"cloud-hypervisor":        "a Cloud Hypervisor machine",
		"firecracker":             "a Firecracker machine",
		"krun":                    "a libkrun machine",
		"crun-vm":                 "a crun-vm machine",
		"crun-wasm":               "a WebAssembly machine",
		"crun":                    "",
		"runc":                    "",
		"my-qemu":                 "",
		"conmon":                  "",
	} {
		t.Run(name, func(t *testing.T) {
			cmd := spawn(t, copyOf(t, name))
			if got := machineName(cmd.Process.Pid); got != want {
				t.Errorf("it is %q, want %q", got, want)
			}
			if got := machineName(os.Getpid(), cmd.Process.Pid); got != want {
				t.Errorf("as the second process it is %q, want %q", got, want)
			}
		})
	}
	t.Run("by the name of the process", func(t *testing.T) {
		cmd := spawn(t, copyOf(t, "exe"))
		setName(t, cmd.Process.Pid, "runsc-gofer")
		if got := machineName(cmd.Process.Pid); got != "gVisor" {
			t.Errorf("it is %q", got)
		}
	})
	if got := machineName(noPID); got != "" {
		t.Errorf("nobody is %q", got)
	}
}

// TestFindRefuses names processes that are not a container's init waiting for
// this one. test/e2e has those that need a runtime.
func TestFindRefuses(t *testing.T) {
	child := spawn(t, copyOf(t, "child"))
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		who   string
		pid   int
		class fault.Class
		text  string
	}{
		{"none", 0, fault.Document, "the state has pid 0"},
		{"negative", -1, fault.Document, "the state has pid -1"},
		{"beyond any pid", noPID, fault.Document, "it does not exist"},
		{"ended", ended.Process.Pid, fault.Document, "it does not exist"},
		{"init", 1, fault.Document, "it is not a child of the runtime"},
		{"this process", os.Getpid(), fault.Document, "it shares this hook's mount namespace"},
		{"its parent", os.Getppid(), fault.Delivery, "runs this hook itself"},
		{"its child", child.Process.Pid, fault.Document, "it is not a child of the runtime"},
	} {
		t.Run(tt.who, func(t *testing.T) {
			target, err := Find(tt.pid)
			if err == nil {
				target.Close()
				t.Fatal("it was taken for the container's")
			}
			if !errors.Is(err, tt.class) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v", err)
			}
			if len(fault.Hints(err)) != 1 {
				t.Errorf("hints %q", fault.Hints(err))
			}
		})
	}
}

// TestFindSibling shows a sibling, which is a child of an ancestor as
// the container's init is: only the mount namespace tells it apart.
func TestFindSibling(t *testing.T) {
	const hook = "TEST_FIND_PID"
	if pid := os.Getenv(hook); pid != "" {
		n, err := strconv.Atoi(pid)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Find(n)
		if !errors.Is(err, fault.Document) || !strings.Contains(err.Error(), "shares this hook's mount namespace") {
			t.Errorf("got %v", err)
		}
		return
	}
	sibling := spawn(t, copyOf(t, "sibling"))
	cmd := exec.Command(os.Args[0], "-test.run", "^TestFindSibling$", "-test.v")
	cmd.Env = append(os.Environ(), hook+"="+strconv.Itoa(sibling.Process.Pid))
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestFindElsewhere runs Find in a pid namespace whose /proc is the host's.
func TestFindElsewhere(t *testing.T) {
	const hook = "TEST_FIND_ELSEWHERE"
	if os.Getenv(hook) != "" {
		_, err := Find(1)
		if !errors.Is(err, fault.Delivery) || !strings.Contains(err.Error(), "inside the container's namespaces") {
			t.Errorf("got %v", err)
		}
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("only root makes namespaces")
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestFindElsewhere$", "-test.v")
	cmd.Env = append(os.Environ(), hook+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestFindWithoutPidfd has a kernel, or a filter, that does not know pidfd_open.
func TestFindWithoutPidfd(t *testing.T) {
	const hook = "TEST_FIND_PIDFD"
	if os.Getenv(hook) != "" {
		runtime.LockOSThread() // which has the filter, and is given up
		filter := []unix.SockFilter{
			{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the call's number
			{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_PIDFD_OPEN},
			{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
			{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		}
		prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			t.Fatal(err)
		}
		if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0); err != nil {
			t.Fatal(err)
		}
		_, err := Find(os.Getpid())
		if hints := strings.Join(fault.Hints(err), ""); !errors.Is(err, fault.Delivery) ||
			!strings.Contains(hints, "Linux 5.3 or later") || !strings.Contains(hints, `delivery = { runc = "spec" }`) {
			t.Errorf("got %v (%s)", err, hints)
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestFindWithoutPidfd$", "-test.v")
	cmd.Env = append(os.Environ(), hook+"=1")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}
