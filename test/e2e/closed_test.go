// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// TestTracerKilledBeforeStart kills the tracer of a created container, and
// with it the container.
func TestTracerKilledBeforeStart(t *testing.T) {
	runtimes(t, func(t *testing.T, name string) {
		r := rig.NewRuntime(t, name)
		b, file := marking(t, "createRuntime", rig.Canary(), "mark")
		pid := r.Create(t, b)
		kill(t, rig.TracerOf(t, pid), unix.SIGKILL)
		rig.AwaitEnd(t, "the init", pid)
		if res := rig.Run(t, r.Argv("start", b.ID)...); res.Code == 0 {
			t.Error("start succeeds")
		}
		if _, ran := rig.ReadReport(t, file); ran {
			t.Error("the program ran")
		}
	})
}

// TestTracerKilledAroundStart kills the tracer at random moments around start,
// 200 times. The program may run with the secret or not at all, never without
// it.
func TestTracerKilledAroundStart(t *testing.T) {
	const rounds, atOnce = 200, 4
	// How long start takes depends on what else the machine does; the window
	// follows, so that about half of the programs run.
	var mu sync.Mutex
	window := 40 * time.Millisecond
	ran, died := 0, 0
	names := rig.Runtimes()
	work := make(chan int)
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			defer func() {
				for range work { // a failure ends this goroutine, and nobody else may wait for it
				}
			}()
			for i := range work {
				mu.Lock()
				delay := time.Duration(rand.Int64N(int64(window)))
				mu.Unlock()
				did := killDuring(t, names[i%len(names)], delay)
				mu.Lock()
				if did {
					ran++
					window = max(window*9/10, 5*time.Millisecond)
				} else {
					died++
					window = min(window*11/10, time.Second)
				}
				mu.Unlock()
			}
		})
	}
	for i := range rounds {
		if t.Failed() {
			break
		}
		work <- i
	}
	close(work)
	wg.Wait()
	t.Logf("%d ran with the secret, %d never ran", ran, died)
	if died < rounds/10 || ran < rounds/10 {
		t.Errorf("%d of %d ran: the moments were not around the start", ran, rounds)
	}
}

// killDuring starts a container and kills its tracer after the delay. It
// reports whether the program ran.
func killDuring(t *testing.T, name string, delay time.Duration) bool {
	value := rig.Canary()
	r := rig.NewRuntime(t, name)
	b, file := marking(t, "createRuntime", value, "mark")
	pid := r.Create(t, b)
	tracer := rig.TracerOf(t, pid)
	fd, err := unix.PidfdOpen(tracer, 0) // its number may be another's by then
	if err != nil {
		t.Error(err)
		return false
	}
	defer unix.Close(fd) //nolint:errcheck // a pidfd
	start, wait := begin(t, r.Argv("start", b.ID)...)
	time.Sleep(delay)
	_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) // it may have ended
	rig.AwaitEnd(t, "the container", pid)
	if name == rig.Crun {
		_ = start.Kill() // it waits for an init that died in the meantime, however it died
	}
	wait()
	report, ran := rig.ReadReport(t, file)
	if ran {
		n := 0
		for _, e := range report.Env {
			if e == "SECRET="+value {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s: killed after %v: the program ran and its environment is %q", name, delay, report.Env)
		}
	}
	_ = exec.Command(r.Argv()[0], r.Argv("delete", "--force", b.ID)[1:]...).Run() // at once: there are many
	return ran
}

// begin starts a command and gives the function that waits for its end and
// returns its exit code.
func begin(t *testing.T, argv ...string) (*os.Process, func() int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	return cmd.Process, func() int {
		defer cancel()
		_ = cmd.Wait()
		if ctx.Err() != nil {
			t.Errorf("%q does not end", argv)
		}
		return cmd.ProcessState.ExitCode()
	}
}

func kill(t *testing.T, pid int, sig unix.Signal) {
	t.Helper()
	if pid <= 1 {
		t.Fatalf("no process to send %v to", sig)
	}
	if err := unix.Kill(pid, sig); err != nil {
		t.Fatalf("send %v to %d: %v", sig, pid, err)
	}
}

// state is the letter of /proc/PID/status; a space for none.
func state(pid int) string { return (rig.StatusField(pid, "State") + " ")[:1] }

// inExec starts a container whose tracer was stopped, and returns when the
// process stands still on its way through the exec. The tracer goes on when the test ends.
func inExec(t *testing.T, r *rig.Runtime, b *rig.Bundle) (pid, tracer int, wait func() int) {
	t.Helper()
	pid = r.Create(t, b)
	tracer = rig.TracerOf(t, pid)
	kill(t, tracer, unix.SIGSTOP)
	t.Cleanup(func() {
		if rig.Alive(tracer) && comm(tracer) == "oci-secrets-tra" {
			kill(t, tracer, unix.SIGCONT)
		}
	})
	rig.Eventually(t, "the tracer stops", func() bool { return state(tracer) == "T" })
	_, wait = begin(t, r.Argv("start", b.ID)...)
	rig.Eventually(t, "the process is held", func() bool { return held(pid) })
	return pid, tracer, wait
}

// held reports whether a traced process cannot go on without its tracer. One
// of a single thread stops behind its exec. Of several, the others must be gone
// before, and those of a traced one are not gone until their tracer knows, so
// it waits within execve; or it stops earlier, for a new thread or a signal.
func held(pid int) bool {
	threads, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*")
	for _, dir := range threads {
		call, _ := os.ReadFile(dir + "/syscall")
		tid, _ := strconv.Atoi(filepath.Base(dir))
		if state(tid) == "t" || strings.HasPrefix(string(call), strconv.Itoa(unix.SYS_EXECVE)+" ") {
			return true
		}
	}
	return false
}

// TestTracerStopped stops the tracer: the program does not run until it goes on.
func TestTracerStopped(t *testing.T) {
	runtimes(t, func(t *testing.T, name string) {
		value := rig.Canary()
		b, file := marking(t, "createRuntime", value, "mark")
		_, tracer, wait := inExec(t, rig.NewRuntime(t, name), b)
		if _, ran := rig.ReadReport(t, file); ran {
			t.Error("the program ran")
		}
		kill(t, tracer, unix.SIGCONT)
		has(t, rig.AwaitReport(t, file).Env, "SECRET", value)
		if code := wait(); code != 0 {
			t.Errorf("start: exit code %d", code)
		}
	})
}

// TestTracerKilledInExec kills the tracer while the process stands in its exec.
func TestTracerKilledInExec(t *testing.T) {
	runtimes(t, func(t *testing.T, name string) {
		b, file := marking(t, "createRuntime", rig.Canary(), "mark")
		pid, tracer, wait := inExec(t, rig.NewRuntime(t, name), b)
		kill(t, tracer, unix.SIGKILL)
		rig.AwaitEnd(t, "the container", pid)
		wait()
		if _, ran := rig.ReadReport(t, file); ran {
			t.Error("the program ran")
		}
	})
}

func comm(pid int) string {
	b, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	return string(bytes.TrimSpace(b))
}

// TestHookKilled kills the hook while it waits for a Vault that does not
// answer: the container is refused and nothing stays.
func TestHookKilled(t *testing.T) {
	runtimes(t, func(t *testing.T, name string) {
		r := rig.NewRuntime(t, name)
		b, file := marking(t, "createRuntime", rig.Canary(), "mark")
		server := silence(t)
		vault(t, b, server.addr, "30s")
		b.Write(t)
		_, wait := begin(t, r.Argv("run", "--bundle", b.Dir, b.ID)...)
		<-server.accepted
		kill(t, hookOf(t, b), unix.SIGKILL)
		if code := wait(); code == 0 {
			t.Error("the container is not refused")
		}
		if _, ran := rig.ReadReport(t, file); ran {
			t.Error("the program ran")
		}
		rig.Eventually(t, "hook and tracer end", func() bool { return ours(b.Config, b.ID) == nil })
	})
}

// TestHookKilledAnytime kills the hook at random moments. Either it was done,
// and the program gets its secret, or the container is refused.
func TestHookKilledAnytime(t *testing.T) {
	runtimes(t, func(t *testing.T, name string) {
		ran := 0
		for range 20 {
			value := rig.Canary()
			r := rig.NewRuntime(t, name)
			b, file := marking(t, "createRuntime", value, "mark")
			_, wait := begin(t, r.Argv("create", "--bundle", b.Dir, b.ID)...)
			rig.Eventually(t, "the hook runs, or ran", func() bool {
				return ours(b.Config, b.ID) != nil
			})
			time.Sleep(time.Duration(rand.Int64N(int64(3 * time.Millisecond))))
			for _, pid := range ours(b.Config, "") {
				_ = unix.Kill(pid, unix.SIGKILL) // it may have ended
			}
			if wait() != 0 {
				if _, ran := rig.ReadReport(t, file); ran {
					t.Fatal("the program ran")
				}
			} else if res := rig.Run(t, r.Argv("start", b.ID)...); res.Code != 0 {
				// A tracer looks like its hook until its own exec, so the kill
				// may have met it later: that ends the container, too.
				if _, ran := rig.ReadReport(t, file); ran || r.Status(t, b.ID) != "stopped" {
					t.Fatalf("start failed, and the container is not dead:\n%s", res.Stderr)
				}
			} else {
				has(t, rig.AwaitReport(t, file).Env, "SECRET", value)
				ran++
			}
			rig.Eventually(t, "hook and tracer end", func() bool { return ours(b.Config, b.ID) == nil })
		}
		t.Logf("%d of 20 ran", ran)
	})
}

// hookOf is the pid of the bundle's hook, which its settings tell apart.
func hookOf(t *testing.T, b *rig.Bundle) int {
	t.Helper()
	pids := ours(b.Config, "")
	if len(pids) != 1 {
		t.Fatalf("processes %d are the hook", pids)
	}
	return pids[0]
}

// ours are the processes of our program with one of the words among their
// arguments: a hook has its settings', a tracer its container's.
func ours(words ...string) []int {
	var pids []int
	for _, pid := range processes() {
		dir := filepath.Join("/proc", strconv.Itoa(pid))
		exe, _ := os.Readlink(dir + "/exe")
		args, _ := os.ReadFile(dir + "/cmdline")
		if filepath.Base(exe) != "oci-secrets" {
			continue
		}
		for _, w := range words {
			if w != "" && strings.Contains(string(args), w+"\x00") {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids
}

// TestSignals sends signals to the init of a created container. What becomes
// of it is the same as without the hook.
func TestSignals(t *testing.T) {
	runtimes(t, func(t *testing.T, name string) {
		for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGUSR1, unix.SIGHUP, unix.SIGSTOP} {
			t.Run(unix.SignalName(sig), func(t *testing.T) {
				bare := signalled(t, name, "", sig)
				hooked := signalled(t, name, "createRuntime", sig)
				if bare != hooked {
					t.Errorf("the program runs without the hook: %v, with it: %v", bare, hooked)
				}
				t.Logf("the program runs: %v", bare)
			})
		}
	})
}

// signalled reports whether a container runs that got a signal before start.
func signalled(t *testing.T, name, stage string, sig unix.Signal) bool {
	value := rig.Canary()
	r := rig.NewRuntime(t, name)
	b, file := marking(t, stage, value, "mark")
	pid := r.Create(t, b)
	kill(t, pid, sig)
	if sig == unix.SIGSTOP {
		rig.Eventually(t, "the init stops", func() bool { return strings.Contains("Tt", state(pid)) })
		kill(t, pid, unix.SIGCONT)
		rig.Eventually(t, "the init goes on", func() bool { return !strings.Contains("Tt", state(pid)) })
	}
	// runc's init is a Go program, which dies of these where it handles none.
	if name != rig.Crun && (sig == unix.SIGTERM || sig == unix.SIGHUP) {
		rig.AwaitEnd(t, "the init", pid)
	}
	res := rig.Run(t, r.Argv("start", b.ID)...)
	if res.Code != 0 {
		return false
	}
	rig.AwaitEnd(t, "the container", pid)
	report, ran := rig.ReadReport(t, file)
	if ran && stage != "" {
		has(t, report.Env, "SECRET", value)
	}
	return ran
}
