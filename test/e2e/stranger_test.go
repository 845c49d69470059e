// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// stateOf is a state that names pid for the container of a bundle.
func stateOf(t *testing.T, b *rig.Bundle, pid int) string {
	t.Helper()
	s, err := json.Marshal(map[string]any{
		"ociVersion": "1.0.2", "id": b.ID, "status": "created", "pid": pid,
		"bundle": b.Dir, "annotations": b.Spec.Annotations,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(s)
}

// hook calls the hook of a bundle by hand.
func hook(t *testing.T, b *rig.Bundle, state string, before ...string) rig.Result {
	t.Helper()
	return rig.RunWith(t, nil, state, append(before, rig.Binary(t), "hook", "--config", b.Config)...)
}

// sleeper starts a process that waits until the test ends.
func sleeper(t *testing.T, argv ...string) int {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

// TestStranger shows the hook processes that are not the container's: they are
// refused and never touched.
func TestStranger(t *testing.T) {
	rig.NeedRoot(t)
	for _, c := range []struct {
		name string
		pid  func(t *testing.T) int
	}{
		{"the host's pid 1", func(*testing.T) int { return 1 }},
		{"a kernel thread", func(t *testing.T) int {
			if comm, err := os.ReadFile("/proc/2/comm"); err != nil || string(comm) != "kthreadd\n" {
				t.Skip("no kernel thread is in this pid namespace")
			}
			return 2
		}},
		{"a process beside the hook", func(t *testing.T) int { return sleeper(t, "sleep", "100") }},
		{"this test, the hook's parent", func(*testing.T) int { return os.Getpid() }},
		{"this test's parent", func(*testing.T) int { return os.Getppid() }},
		{"another container's init, created", func(t *testing.T) int {
			b, _ := marking(t, "", "", "wait")
			return rig.NewRuntime(t, rig.Runc).Create(t, b)
		}},
		{"another container's init, running", func(t *testing.T) int {
			b, file := marking(t, "", "", "wait")
			r := rig.NewRuntime(t, rig.Crun)
			pid := r.Create(t, b)
			r.Start(t, b)
			rig.AwaitReport(t, file)
			return pid
		}},
		{"a process in another mount namespace", func(t *testing.T) int {
			// Not a child of the test's, but of a shell's.
			dir := t.TempDir()
			sleeper(t, "sh", "-c", `unshare -m sh -c 'echo $$ >"$1/pid.new"; mv "$1/pid.new" "$1/pid"; exec sleep 100' sh "$1" & wait`, "sh", dir)
			var pid int
			rig.Eventually(t, "the process says its pid", func() bool {
				b, _ := os.ReadFile(filepath.Join(dir, "pid"))
				pid, _ = strconv.Atoi(strings.TrimSpace(string(b)))
				return pid > 0
			})
			return pid
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			pid := c.pid(t)
			b := bundle(t, "", rig.Canary())
			res := hook(t, b, stateOf(t, b, pid))
			if res.Code != 14 && res.Code != 16 {
				t.Errorf("exit code %d\n%s", res.Code, res.Stderr)
			}
			if !strings.Contains(res.Stderr, strconv.Itoa(pid)) {
				t.Errorf("the message does not name process %d: %s", pid, res.Stderr)
			}
			if !rig.Alive(pid) {
				t.Fatalf("process %d ended", pid)
			}
			if by := rig.TracerOf(t, pid); by != 0 {
				t.Errorf("process %d is traced by %d", pid, by)
			}
		})
	}
	for _, pid := range []int{0, -1, -os.Getpid(), 1 << 22, 1<<31 - 1} {
		t.Run(fmt.Sprint("pid ", pid), func(t *testing.T) {
			b := bundle(t, "", rig.Canary())
			if res := hook(t, b, stateOf(t, b, pid)); res.Code != 14 {
				t.Errorf("exit code %d\n%s", res.Code, res.Stderr)
			}
		})
	}
}

// TestOtherContainerOfPod has a hook of one container name the init of another,
// whose parent is an ancestor of the hook, too: a shim that adopts the inits
// of all containers of its pod is in that place.
func TestOtherContainerOfPod(t *testing.T) {
	runtimes(t, func(t *testing.T, name string) {
		r := rig.NewRuntime(t, name)
		b, file := marking(t, "", rig.Canary(), "mark")
		first, _ := marking(t, "", "", "wait")
		// The state that the second container's hook gets names the first's init.
		swap := filepath.Join(t.TempDir(), "swap")
		rig.WriteFile(t, swap, fmt.Sprintf(`#!/bin/sh
pid=$(cat %[1]s/pid)
sed "s/\"pid\": *[0-9]*/\"pid\":$pid/" | %[2]s hook --config %[3]s 2>%[1]s/stderr
code=$?
echo $code >%[1]s/code
exit $code
`, filepath.Dir(swap), rig.Binary(t), b.Config), 0o755)
		b.Hook(t, "createRuntime", swap)
		b.Write(t)
		// The shim: a subreaper that creates both.
		quoted := func(argv []string) string { return "'" + strings.Join(argv, "' '") + "'" }
		script := quoted(r.Argv("create", "--bundle", first.Dir, "--pid-file", filepath.Join(filepath.Dir(swap), "pid"), first.ID)) + " && " +
			quoted(r.Argv("run", "--bundle", b.Dir, b.ID)) + "; code=$?; exit $code"
		res := rig.Run(t, subreaper(t, "sh", "-c", script)...)
		pid := r.PID(t, first.ID)
		told := read(t, filepath.Join(filepath.Dir(swap), "stderr"))
		if code := strings.TrimSpace(read(t, filepath.Join(filepath.Dir(swap), "code"))); code != "14" || res.Code == 0 {
			t.Errorf("the hook's exit code is %s, the runtime's %d\n%s", code, res.Code, told)
		}
		if by := rig.TracerOf(t, pid); by != 0 {
			t.Errorf("the other container's init is traced by %d", by)
		}
		if _, ran := rig.ReadReport(t, file); ran {
			t.Error("the program ran")
		}
	})
}

// TestWrapper lists the hook behind a script and timeout(1): the runtime is
// found above them.
func TestWrapper(t *testing.T) {
	runtimes(t, func(t *testing.T, name string) {
		value := rig.Canary()
		b := bundle(t, "", value)
		wrapper := filepath.Join(t.TempDir(), "wrapper")
		rig.WriteFile(t, wrapper, fmt.Sprintf("#!/bin/sh\nsleep 0 &\ntimeout 20 %s hook --config %s\nexit $?\n", rig.Binary(t), b.Config), 0o755)
		b.Hook(t, "createRuntime", wrapper)
		b.Spec.Hooks.CreateRuntime[0].Env = []string{"PATH=/usr/bin:/bin"}
		expect(t, name, b, map[string]string{"SECRET": value})
	})
}

// TestNamespacedPID calls the hook where the numbers are not the host's.
func TestNamespacedPID(t *testing.T) {
	rig.NeedRoot(t)
	for _, ns := range []struct{ name, unshare string }{
		{"the host's proc", "unshare -p -f"},
		{"an own proc", "unshare -p -f --mount-proc"},
		{"an own proc, wrapped", "unshare -p -f --mount-proc timeout 60"},
	} {
		for _, who := range []struct{ name, shell string }{
			{"pid 1", "1"}, {"the shell", "$$"}, {"its parent", "$PPID"}, {"a process beside the hook", "$!"},
		} {
			t.Run(ns.name+"/"+who.name, func(t *testing.T) {
				b := bundle(t, "", rig.Canary())
				const marker = 987654321
				before, after, _ := strings.Cut(stateOf(t, b, marker), strconv.Itoa(marker))
				file := filepath.Join(t.TempDir(), "state")
				script := `state=$1 before=$2 after=$3; shift 3
sleep 100 &
printf %s "$before" ` + who.shell + ` "$after" >"$state"
"$@" <"$state"
code=$?
kill -0 $! && kill $! || exit 99
exit $code`
				argv := append(strings.Fields(ns.unshare), "sh", "-c", script, "sh", file, before, after)
				res := hook(t, b, "", argv...)
				if res.Code != 14 && res.Code != 16 {
					t.Errorf("exit code %d\n%s", res.Code, res.Stderr)
				}
				if strings.Contains(read(t, file), strconv.Itoa(marker)) {
					t.Error("the state has the wrong pid")
				}
				if pids := ours(b.ID); pids != nil {
					t.Errorf("tracers %d", pids)
				}
			})
		}
	}
}

// TestBadState gives the hook what is no state.
func TestBadState(t *testing.T) {
	rig.NeedRoot(t)
	b := bundle(t, "", rig.Canary())
	pid := sleeper(t, "sleep", "100")
	good := stateOf(t, b, pid)
	for name, state := range map[string]string{
		"empty":            "",
		"a blank":          " ",
		"two documents":    good + good,
		"something behind": good + "x",
		"truncated":        good[:len(good)/2],
		"not UTF-8":        strings.Replace(good, "created", "cre\xffated", 1),
		"an array":         "[" + good + "]",
		"null":             "null",
		"a pid in words":   strings.Replace(good, strconv.Itoa(pid), `"`+strconv.Itoa(pid)+`"`, 1),
		"a pid too large":  strings.Replace(good, strconv.Itoa(pid), "18446744073709551617", 1),
		"no bundle":        `{"ociVersion":"1.0.2","id":"x","status":"created","pid":1}`,
		"bundle elsewhere": `{"ociVersion":"1.0.2","id":"x","status":"created","pid":1,"bundle":"/nonexistent"}`,
	} {
		t.Run(name, func(t *testing.T) {
			res := hook(t, b, state)
			if res.Code != 14 || res.Stdout != "" || !strings.HasPrefix(res.Stderr, "oci-secrets: ") {
				t.Errorf("exit code %d\n%s%s", res.Code, res.Stdout, res.Stderr)
			}
		})
	}
	if by := rig.TracerOf(t, pid); by != 0 {
		t.Errorf("traced by %d", by)
	}
}

// subreaper is the command line that runs argv as a process which adopts the
// orphans below it. It is this program again: see TestMain.
func subreaper(t *testing.T, argv ...string) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{self, subreaperArg}, argv...)
}

const subreaperArg = "adopt-orphans-of"

// adopt runs argv and gives its exit code.
func adopt(argv []string) int {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 98
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	_ = cmd.Run()
	return cmd.ProcessState.ExitCode()
}
