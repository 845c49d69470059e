// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestStackLimit(t *testing.T) {
	tests := map[string]struct {
		ulimit string // of bash, in KiB
		want   uint64
	}{
		"the usual":    {"8192", 4 << 20},
		"small":        {"512", 256 << 10},
		"beyond 6 MiB": {"65536", 6 << 20},
		"unlimited":    {"unlimited", 6 << 20},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "sh", "-c", "ulimit -S -s "+tt.ulimit+" && echo && exec cat")
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
				t.Fatalf("the limit could not be set: %v", err)
			}
			got, err := stackLimit(cmd.Process.Pid)
			if err != nil || got != tt.want {
				t.Errorf("got %d, %v; want %d", got, err, tt.want)
			}
			_ = in.Close()
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
	if _, err := stackLimit(noPID); err == nil {
		t.Error("a process that is not there has a limit")
	}
}

// noPID is above every pid that a kernel gives (PID_MAX_LIMIT).
const noPID = 1 << 23

func TestMapping(t *testing.T) {
	self := &tracer{pid: os.Getpid()}
	page := uint64(os.Getpagesize())
	mem, err := unix.Mmap(-1, 0, 3*int(page), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	// Its middle alone is readable, so it is a mapping of its own.
	if err := unix.Mprotect(mem[page:2*page], unix.PROT_READ); err != nil {
		t.Fatal(err)
	}
	start := uint64(uintptr(unsafe.Pointer(&mem[page]))) // the address itself is what is asked for
	for _, addr := range []uint64{start, start + 1, start + page - 1} {
		if got, err := self.mapping(addr); err != nil || got != (mapping{start, start + page}) {
			t.Errorf("%#x is in %#x, %v; want %#x", addr, got, err, start)
		}
	}
	if got, err := self.mapping(1); err == nil {
		t.Errorf("address 1 is in %#x", got)
	}
	if err := unix.Munmap(mem); err != nil {
		t.Fatal(err)
	}
	if got, err := (&tracer{pid: noPID}).mapping(start); err == nil {
		t.Errorf("a process that is not there has %#x", got)
	}
}

func TestProcField(t *testing.T) {
	self := os.Getpid()
	if got, err := procField(self, "status", "Pid:"); err != nil || got != strconv.Itoa(self) {
		t.Errorf("Pid is %q, %v", got, err)
	}
	if got, err := procField(self, "status", "NoSuch:"); err == nil {
		t.Errorf("NoSuch is %q", got)
	}
	if tracedByUs(self) || threadOf(self, 1) || !threadOf(self, self) {
		t.Error("this process does not know itself")
	}
}

// TestNumbers lists the threads of a process. None may be missing, whatever
// its number: one that is not seized would run bare.
func TestNumbers(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	got, err := numbers("/proc/self/task")
	if err != nil || !slices.Contains(got, unix.Gettid()) || !slices.Contains(got, os.Getpid()) {
		t.Errorf("threads %v, %v", got, err)
	}
	// A directory that has every small number, whatever the descriptor is.
	dir := t.TempDir()
	var want []int
	for i := range 600 {
		want = append(want, i)
		if err := os.WriteFile(dir+"/"+strconv.Itoa(i), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(dir+"/no-number", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err = numbers(dir)
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %d numbers, %v", len(got), err)
	}
	if _, err := numbers(dir + "/nowhere"); err == nil {
		t.Error("a directory that is not there has numbers")
	}
}

// TestCloseInherited runs in a process of its own, which inherits descriptors.
func TestCloseInherited(t *testing.T) {
	const child = "TEST_CLOSE_INHERITED"
	if os.Getenv(child) != "" {
		_ = unix.Dup2(2, 50) // not close-on-exec, as if a runtime had left it
		kept, err := unix.FcntlInt(2, unix.F_DUPFD_CLOEXEC, 60)
		if err != nil {
			t.Fatal(err)
		}
		if err := closeInherited(); err != nil {
			t.Fatal(err)
		}
		for fd, want := range map[int]bool{0: true, 1: true, 2: true, 3: true, 4: true, 5: true, 6: false, 7: false, 50: false, kept: true} {
			_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
			if open := err == nil; open != want {
				t.Errorf("descriptor %d: open is %v, want %v", fd, open, want)
			}
		}
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestCloseInherited$", "-test.v")
	cmd.Env = append(os.Environ(), child+"=1")
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()                                        //nolint:errcheck // only read from
	cmd.ExtraFiles = []*os.File{null, null, null, null, null} // 3 to 7
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestLock(t *testing.T) {
	var tr tracer
	if err := tr.lock(0); err == nil {
		t.Error("nothing was locked without a word")
	}
	if err := tr.lock(10_000); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Munmap(tr.vars) }()
	start := strconv.FormatUint(uint64(uintptr(unsafe.Pointer(&tr.vars[0]))), 16)
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	_, ours, ok := strings.Cut(string(smaps), "\n"+start+"-")
	if !ok {
		t.Fatalf("no mapping at %s", start)
	}
	_, flags, _ := strings.Cut(ours, "VmFlags:")
	flags, _, _ = strings.Cut(flags, "\n")
	for _, f := range []string{"lo", "dc", "dd"} { // locked, not in a child, not in a dump
		if !slices.Contains(strings.Fields(flags), f) {
			t.Errorf("the mapping has %s, without %s", flags, f)
		}
	}
}

// TestEndedInterrupted asks after a process that lives while signals arrive, as
// those of Go's scheduler do on a busy machine.
func TestEndedInterrupted(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pid, tid := os.Getpid(), unix.Gettid()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd) //nolint:errcheck // nothing to lose
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Tgkill(pid, tid, unix.SIGURG) // means nothing to Go
			}
		}
	}()
	for range 20000 {
		if gone, err := ended(fd); gone || err != nil {
			t.Errorf("gone: %v, error: %v", gone, err)
			break
		}
	}
	close(stop)
	<-stopped
}
