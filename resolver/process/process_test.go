// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What this binary is run again for.
const (
	threadless = "OCI_SECRETS_TEST_THREADLESS" // be a process whose first thread has ended
	look       = "OCI_SECRETS_TEST_LOOK"       // say of PID START whether it is gone
)

func init() {
	switch {
	case os.Getenv(threadless) != "":
		runtime.LockOSThread() // which is the first one
		go func() {
			_, _ = bufio.NewReader(os.Stdin).ReadByte()
			os.Exit(0)
		}()
		_, _, _ = unix.Syscall(unix.SYS_EXIT, 0, 0, 0) // not a raw one, which keeps the others from a single processor
	case os.Getenv(look) != "":
		id, started, _ := strings.Cut(os.Getenv(look), " ")
		pid, _ := strconv.Atoi(id)
		_, err := os.Stat("/proc/" + id)
		_, _ = os.Stdout.WriteString(strconv.FormatBool(err == nil) + " " + strconv.FormatBool(Gone(pid, started, "")))
		os.Exit(0)
	}
}

// again is this binary for something else.
func again(t *testing.T, variable, value string, argv ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	argv = append(argv, self)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), variable+"="+value)
	cmd.Stderr = os.Stderr
	return cmd
}

func start(t *testing.T, pid int) string {
	t.Helper()
	started, err := Started(pid)
	if err != nil {
		t.Fatal(err)
	}
	return started
}

func TestGone(t *testing.T) {
	ours := start(t, os.Getpid())
	there := t.TempDir()
	for name, tt := range map[string]struct {
		pid             int
		started, bundle string
		want            bool
	}{
		"runs":                    {os.Getpid(), ours, "/none", false},
		"another's pid":           {os.Getpid(), ours + "0", there, true},
		"no process":              {1 << 30, ours, there, true},
		"only a bundle":           {0, "", there, false},
		"only a bundle that went": {0, "", filepath.Join(there, "none"), true},
		"a bundle somewhere":      {0, "", "none", false},
	} {
		if got := Gone(tt.pid, tt.started, tt.bundle); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestFirstThread has a program whose first thread ends before the others, which
// looks as if it had ended, and was not waited for.
func TestFirstThread(t *testing.T) {
	cmd := again(t, threadless, "1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	started := start(t, cmd.Process.Pid)
	for state(t, cmd.Process.Pid) != "Z" {
		runtime.Gosched()
	}
	if Gone(cmd.Process.Pid, started, "") {
		t.Error("it is gone while it runs")
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_PID, cmd.Process.Pid, &info, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if !Gone(cmd.Process.Pid, started, "") {
		t.Error("it is not gone when it has ended")
	}
	_ = cmd.Wait() // it was killed or not
}

func state(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return rest[:1]
}

// TestHidden has a /proc that does not show the process.
func TestHidden(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting a /proc takes root")
	}
	hide := `mount -t proc -o hidepid=invisible,gid=12345 proc /proc && exec setpriv --bounding-set=-sys_ptrace --inh-caps=-sys_ptrace "$0"`
	cmd := again(t, look, strconv.Itoa(os.Getpid())+" "+start(t, os.Getpid()), "unshare", "--mount", "sh", "-c", hide)
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip(err)
	}
	if string(out) != "false false" {
		t.Errorf("is it seen, is it gone: %q, %v", out, err)
	}
}
