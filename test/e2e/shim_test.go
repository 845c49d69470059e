// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/spec/limit"
	"github.com/oci-secrets/oci-secrets/test/rig"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

// shimmed makes a bundle without a hook, and the runtime with the shim in its
// place, whose state directory it gives, too.
func shimmed(t *testing.T, name, value string) (r *rig.Runtime, b *rig.Bundle, file, state string) {
	t.Helper()
	runtime := rig.NewRuntime(t, name)
	b, file = marking(t, "", value, "wait")
	state = b.StateDir(t)
	return runtime.Shim(t, b), b, file, state
}

// TestShim creates and starts a container as an engine does, and searches for
// its value in what the engine and the runtime keep.
func TestShim(t *testing.T) {
	runtimes(t, func(t *testing.T, name string) {
		canary := rig.Canary()
		r, b, file, state := shimmed(t, name, canary)
		b.Hook(t, "prestart", "/bin/cat") // which reads the state, as crun wants it
		b.Hook(t, "poststop", "/bin/cat")
		b.Spec.Process.Env = append(b.Spec.Process.Env, "SECRET=default")
		b.Write(t)
		config := filepath.Join(b.Dir, "config.json")
		if err := os.Chmod(config, 0o640); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(config, 7, 8); err != nil {
			t.Fatal(err)
		}
		pid := r.Create(t, b)
		var spec specs.Spec
		if err := json.Unmarshal([]byte(read(t, config)), &spec); err != nil {
			t.Fatal(err)
		}
		timeout := int(limit.Hook / time.Second)
		ours := specs.Hook{Path: rig.Binary(t), Args: []string{"oci-secrets", "hook", "--keep", state, "--config", b.Config}, Timeout: &timeout}
		want := specs.Hooks{
			Prestart: append(b.Spec.Hooks.Prestart, ours), Poststop: append([]specs.Hook{ours}, b.Spec.Hooks.Poststop...), //nolint:staticcheck // deprecated and everywhere
		}
		if diff := cmp.Diff(&want, spec.Hooks); diff != "" {
			t.Errorf("hooks (-want +got):\n%s", diff)
		}
		info, err := os.Stat(config)
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); info.Mode() != 0o640 || st.Uid != 7 || st.Gid != 8 {
			t.Errorf("config.json has mode %v and belongs to %d:%d", info.Mode(), st.Uid, st.Gid)
		}
		if entries, err := os.ReadDir(b.Dir); err != nil || len(entries) != 3 { // and rootfs, settings
			t.Errorf("the bundle has %v, %v", entries, err)
		}
		r.Start(t, b)
		report := rig.AwaitReport(t, file)
		has(t, report.Env, "SECRET", canary)
		proc := "/proc/" + strconv.Itoa(pid)
		if found := rig.Find(t, canary, config, filepath.Join(b.Dir, "rootfs"), r.State, proc+"/environ", proc+"/cmdline"); found != nil {
			t.Errorf("the value is in %q", found)
		}
		r.Delete(t, b)
	})
}

// TestShimExec asks a process that exec starts for what it sees, in every way
// that exec can be told of one; also after the secret was changed.
func TestShimExec(t *testing.T) {
	runtimes(t, func(t *testing.T, name string) {
		canary := rig.Canary()
		r, b, file, _ := shimmed(t, name, canary)
		b.Spec.Process.Env = append(b.Spec.Process.Env, "SECRET=default", "OWN=1")
		b.Write(t)
		r.Create(t, b)
		r.Start(t, b)
		first := rig.AwaitReport(t, file)
		has(t, first.Env, "SECRET", canary)
		b.WriteSettings(t, "secrets.json", `{"db": {"SECRET": "rotated"}}`)

		process := func(env ...string) string {
			p := specs.Process{Args: []string{rig.PayloadPath, "report"}, Cwd: "/", Env: env}
			text, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "process.json")
			rig.WriteFile(t, path, string(text), 0o600)
			return path
		}
		report := []string{b.ID, rig.PayloadPath, "report"}
		fromConfig := process("OWN=1", "SECRET=default", "HOME=/")
		type way = struct {
			args   []string
			secret string
			own    bool
		}
		ways := map[string]way{
			"a process file":             {[]string{"--process", fromConfig, b.ID}, canary, true},
			"a process file, one word":   {[]string{"--process=" + fromConfig, b.ID}, canary, true},
			"a process file, short":      {[]string{"-p", fromConfig, b.ID}, canary, true},
			"a process file that sets":   {[]string{"--process", process("SECRET=mine", "OWN=1"), b.ID}, "mine", true},
			"a process file without it":  {[]string{"--process", process("OWN=1"), b.ID}, canary, true},
			"a process file and more":    {[]string{"--process", fromConfig, b.ID, "ignored"}, canary, true},
			"a command":                  {report, canary, true},
			"a command and a user":       {append([]string{"--cwd", "/", "--user", "7:8"}, report...), canary, true},
			"a command that sets":        {append([]string{"--env", "SECRET=mine"}, report...), "mine", name != rig.Crun},
			"a command that sets, short": {append([]string{"-e", "X=1", "-e", "SECRET=mine"}, report...), "mine", name != rig.Crun},
			"a command and a variable":   {append([]string{"--env=X=1"}, report...), canary, name != rig.Crun}, // crun: --env takes the place of all
		}
		if name == rig.Crun {
			ways["a path for an id"] = way{append([]string{"./" + b.ID + "/"}, report[1:]...), canary, true}
		} else {
			ways["a process file without a name"] = way{append([]string{"--process="}, report...), canary, true}
			ways["a switch that is off"] = way{append([]string{"-d=false"}, report...), canary, true}
		}
		for what, way := range ways {
			t.Run(what, func(t *testing.T) {
				res := rig.MustRun(t, r.Argv(append([]string{"exec"}, way.args...)...)...)
				got := rig.ParseReport(t, res.Stdout)
				// An element for each is there; where a name is there twice, the last counts.
				last := map[string]string{}
				for _, e := range got.Env {
					n, v, _ := strings.Cut(e, "=")
					last[n] = v
				}
				if last["SECRET"] != way.secret {
					t.Errorf("SECRET is %q, want %q, in %q", last["SECRET"], way.secret, got.Env)
				}
				if (last["OWN"] == "1") != way.own {
					t.Errorf("OWN is %q, of the container's own: %v", last["OWN"], way.own)
				}
			})
		}
		if res := rig.Run(t, r.Argv("exec", "--process", "/absent.json", b.ID)...); res.Code == 0 || strings.Contains(res.Stderr, "oci-secrets") {
			t.Errorf("without a process file: exit code %d\n%s", res.Code, res.Stderr)
		}
		for _, flag := range []string{"--new", "--new=value"} {
			res := rig.Run(t, r.Argv(append([]string{"exec", flag}, report...)...)...)
			if res.Code != 16 || res.Stdout != "" || !strings.HasPrefix(res.Stderr, "oci-secrets: exec in container "+b.ID+": the flag --new is not known, and might be lost\nhint: ") {
				t.Errorf("%s: exit code %d\n%s", flag, res.Code, res.Stderr)
			}
		}
		for _, args := range [][]string{
			append([]string{"exec", "--new", "value"}, report...),
			{"exec", "--new", "value", "--process", fromConfig, b.ID},
			{"exec", "--process", fromConfig, "--new", b.ID, "other"},
		} {
			if res := rig.Run(t, r.Argv(args...)...); res.Code != 16 || res.Stdout != "" {
				t.Errorf("%q: exit code %d\n%s", args, res.Code, res.Stderr)
			}
		}
		b.WriteSettings(t, filepath.Base(b.Config), strings.Replace(read(t, b.Config), "[runtime]\n", "[runtime]\nexec = \"off\"\n", 1))
		has(t, rig.ParseReport(t, rig.MustRun(t, r.Argv(append([]string{"exec"}, report...)...)...).Stdout).Env, "SECRET", "default")
		r.Delete(t, b)
	})
}

// TestShimCrunConfig has crun's flag for a configuration that is not the
// bundle's, and which crun looks for in its own directory.
func TestShimCrunConfig(t *testing.T) {
	canary := rig.Canary()
	r, b, file, _ := shimmed(t, rig.Crun, canary)
	config := filepath.Join(b.Dir, "config.json")
	other := filepath.Join(t.TempDir(), "other.json")
	rig.WriteFile(t, other, read(t, config), 0o644)
	b.Spec.Annotations = nil
	b.Write(t)
	before := read(t, config)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(here, other)
	if err != nil {
		t.Fatal(err)
	}
	rig.MustRun(t, r.Argv("create", "--bundle", b.Dir, "--config", relative, b.ID)...)
	r.Start(t, b)
	has(t, rig.AwaitReport(t, file).Env, "SECRET", canary)
	has(t, rig.ParseReport(t, rig.MustRun(t, r.Argv("exec", b.ID, rig.PayloadPath, "report")...).Stdout).Env, "SECRET", canary)
	r.Delete(t, b)
	if read(t, config) != before {
		t.Error("the bundle's config.json changed")
	}
}

// TestShimExecLost has an exec whose variables are not in memory any more: they
// are asked for again, and without them nothing is started.
func TestShimExecLost(t *testing.T) {
	for _, name := range []string{rig.Runc, rig.Crun} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, b, file, state := shimmed(t, name, rig.Canary())
			r.Create(t, b)
			r.Start(t, b)
			rig.AwaitReport(t, file)
			argv := r.Argv("exec", b.ID, rig.PayloadPath, "report")
			kept := rig.Find(t, "SECRET", state)
			if len(kept) != 1 {
				t.Fatalf("kept in %q", kept)
			}
			if err := os.Remove(kept[0]); err != nil {
				t.Fatal(err)
			}
			b.WriteSettings(t, "secrets.json", `{"db": {"SECRET": "rotated"}}`)
			has(t, rig.ParseReport(t, rig.MustRun(t, argv...).Stdout).Env, "SECRET", "rotated")
			b.WriteSettings(t, "secrets.json", `{}`)
			res := rig.Run(t, argv...)
			want := "oci-secrets: exec in container " + b.ID + ": secret \"db\": no secret \"db\" in "
			if res.Code != 11 || !strings.HasPrefix(res.Stderr, want) || res.Stdout != "" {
				t.Errorf("exit code %d, want 11\n%s%s", res.Code, res.Stdout, res.Stderr)
			}
			r.Delete(t, b)
		})
	}
}

// TestShimKeeps follows what is kept from the start of a container to its end,
// on a mount that the hook makes itself.
func TestShimKeeps(t *testing.T) {
	canary := rig.Canary()
	runtime := rig.NewRuntime(t, rig.Runc)
	b, file := marking(t, "", canary, "wait")
	state := filepath.Join(t.TempDir(), "state")
	t.Cleanup(func() { _ = unix.Unmount(state, unix.MNT_DETACH) })
	b.AddSettings(t, "state_dir = \""+state+"\"\n")
	r := runtime.Shim(t, b)
	r.Create(t, b)
	var st unix.Statfs_t
	if err := unix.Statfs(state, &st); err != nil || st.Type != unix.TMPFS_MAGIC && st.Type != unix.RAMFS_MAGIC {
		t.Fatalf("%s is on a file system of type %#x, %v", state, st.Type, err)
	}
	mounts := read(t, "/proc/self/mountinfo")
	if _, options, ok := strings.Cut(mounts, " "+state+" "); !ok || !strings.Contains(strings.SplitN(options, "\n", 2)[0], "noswap") && !strings.Contains(strings.SplitN(options, "\n", 2)[0], "ramfs") {
		t.Errorf("%s may be swapped:\n%s", state, options)
	}
	if found := rig.Find(t, canary, state); len(found) != 1 {
		t.Errorf("created: the value is in %q", found)
	} else if info, err := os.Stat(found[0]); err != nil || info.Mode() != 0o600 {
		t.Errorf("it has mode %v, %v", info.Mode(), err)
	}
	r.Start(t, b)
	rig.AwaitReport(t, file)
	r.Delete(t, b)
	if found := rig.Find(t, canary, state); found != nil {
		t.Errorf("deleted: the value is in %q", found)
	}
}

// TestShimForgetsTheDead has a container without a poststop: what was kept is of
// no use to another one with its name, and goes at the next poststop.
func TestShimForgetsTheDead(t *testing.T) {
	canary := rig.Canary()
	r, b, file, state := shimmed(t, rig.Runc, canary)
	pid := r.Create(t, b)
	r.Start(t, b)
	rig.AwaitReport(t, file)
	kept := rig.Find(t, canary, state)
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	rig.AwaitEnd(t, "the container", pid)
	if err := os.RemoveAll(filepath.Join(r.State, b.ID)); err != nil { // as after a crash of the host's engine
		t.Fatal(err)
	}

	b.WriteSettings(t, "secrets.json", `{"db": {"OTHER": "x"}}`)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	r.Create(t, b)
	r.Start(t, b)
	rig.AwaitReport(t, file)
	report := rig.ParseReport(t, rig.MustRun(t, r.Argv("exec", b.ID, rig.PayloadPath, "report")...).Stdout)
	has(t, report.Env, "OTHER", "x")
	if slices.Contains(report.Env, "SECRET="+canary) {
		t.Error("exec got a dead container's value")
	}
	r.Delete(t, b)
	if len(kept) != 1 || rig.Find(t, canary, state) != nil {
		t.Errorf("%q is still there", kept)
	}
}

// TestShimRefuses looks for the reason where engines look for it.
func TestShimRefuses(t *testing.T) {
	type entry struct{ Level, Msg, Time string }
	for _, name := range []string{rig.Runc, rig.Crun} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, b, file, _ := shimmed(t, name, rig.Canary())
			b.Annotate("secrets.oci/form", "db")
			b.Write(t)
			before := read(t, filepath.Join(b.Dir, "config.json"))
			const want = `read BUNDLE/config.json: annotation secrets.oci/form: no such key`
			text := strings.ReplaceAll(want, "BUNDLE", b.Dir)
			log := filepath.Join(t.TempDir(), "log.json")
			rig.WriteFile(t, log, "{}\n", 0o600)
			res := rig.Run(t, r.Argv("--log", log, "--log-format", "json", "create", "--bundle", b.Dir, b.ID)...)
			if res.Code != 10 || res.Stderr != "oci-secrets: "+text+"\nhint: did you mean secrets.oci/from?\n" {
				t.Errorf("exit code %d\n%s", res.Code, res.Stderr)
			}
			lines := strings.Split(read(t, log), "\n")
			var e entry
			if len(lines) != 3 || json.Unmarshal([]byte(lines[1]), &e) != nil || e.Level != "error" || e.Time == "" ||
				e.Msg != "oci-secrets: "+text+"; hint: did you mean secrets.oci/from?" {
				t.Errorf("log: %q", lines)
			}
			rig.Run(t, r.Argv("--log="+log, "run", "--bundle", b.Dir, b.ID)...)
			if lines = strings.Split(read(t, log), "\n"); len(lines) != 4 || !strings.Contains(lines[2], ` level=error msg="oci-secrets: read `) {
				t.Errorf("log: %q", lines)
			}
			if read(t, filepath.Join(b.Dir, "config.json")) != before {
				t.Error("config.json changed")
			}
			if _, ran := rig.ReadReport(t, file); ran || r.Status(t, b.ID) != "" {
				t.Error("there is a container")
			}
		})
	}
}

// TestShimPasses has containers that ask for nothing, documents that cannot be
// read, and settings that are broken: the shim is not there for them.
func TestShimPasses(t *testing.T) {
	r, b, file, _ := shimmed(t, rig.Runc, rig.Canary())
	b.Spec.Annotations = map[string]string{"unrelated": "secrets.oci/from"}
	b.AddSettings(t, "[vault]\nbroken\n")
	b.Write(t)
	config := filepath.Join(b.Dir, "config.json")
	before := read(t, config)
	r.Create(t, b)
	r.Start(t, b)
	rig.AwaitReport(t, file)
	rig.MustRun(t, r.Argv("exec", b.ID, rig.PayloadPath, "report")...)
	if res := rig.Run(t, r.Argv("exec", "--new", b.ID, rig.PayloadPath)...); strings.Contains(res.Stderr, "oci-secrets") {
		t.Errorf("a flag that is not known is refused: %s", res.Stderr)
	}
	r.Delete(t, b)
	if read(t, config) != before {
		t.Error("config.json changed")
	}

	r.Create(t, b)
	r.Start(t, b)
	if err := os.Remove(config); err != nil {
		t.Fatal(err)
	}
	if res := rig.Run(t, r.Argv("exec", b.ID, rig.PayloadPath, "report")...); res.Code != 14 || res.Stdout != "" || !strings.Contains(res.Stderr, "what it asks for cannot be told") {
		t.Errorf("without a config.json exec has exit code %d\n%s", res.Code, res.Stderr)
	}
	r.Delete(t, b)

	b.Annotate("io.kubernetes.cri.container-type", "sandbox")
	b.Annotate("io.kubernetes.cri.sandbox-id", b.ID)
	b.Annotate(from, "db")
	b.Write(t)
	before = read(t, config)
	r.Create(t, b)
	r.Delete(t, b)
	if read(t, config) != before {
		t.Error("a sandbox's config.json changed")
	}

	for text, ours := range map[string]bool{
		`{"process": `: false, "": false, "{} {}": false,
		`{"annotations": {"secrets.oci/from": "db"}, `:                             true,
		"{\"annotations\": {\"\\u0073ecrets.oci/from\": \"db\"}, \"x\": \"\xff\"}": true,
	} {
		rig.WriteFile(t, config, text, 0o644)
		res := rig.Run(t, r.Argv("create", "--bundle", b.Dir, b.ID)...)
		if res.Code == 0 || strings.Contains(res.Stderr, "oci-secrets: ") != ours {
			t.Errorf("%q: exit code %d\n%s", text, res.Code, res.Stderr)
		}
	}
}

// runscFor is the command line of the shim for runsc, and its state directory.
func runscFor(t *testing.T, b *rig.Bundle) (runsc []string, root string) {
	t.Helper()
	root = t.TempDir()
	runsc = []string{"env", "OCI_SECRETS_CONFIG=" + b.Config, rig.Link(t, "oci-secrets-runtime-runsc"), "--root", root, "--platform=ptrace", "--network=none", "--ignore-cgroups"}
	t.Cleanup(func() { _ = exec.Command(runsc[0], append(runsc[1:], "delete", "--force", b.ID)...).Run() })
	return runsc[:len(runsc):len(runsc)], root
}

// TestShimInSpec has the runtime whose containers cannot be traced.
func TestShimInSpec(t *testing.T) {
	rig.NeedRoot(t)
	canary := rig.Canary()
	b, file := marking(t, "createRuntime", canary, "wait") // with the hook of an engine that lists it everywhere
	state := b.StateDir(t)
	runsc, root := runscFor(t, b)
	do := func(args ...string) rig.Result {
		t.Helper()
		return rig.MustRun(t, append(runsc, args...)...)
	}
	// Mounts here are seen everywhere, as with systemd.
	if err := errors.Join(unix.Mount(b.Dir, b.Dir, "", unix.MS_BIND, ""), unix.Mount("", b.Dir, "", unix.MS_SHARED, ""),
		unix.Mount("", state, "", unix.MS_SHARED, "")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(b.Dir, unix.MNT_DETACH) })
	config := filepath.Join(b.Dir, "config.json")
	before, mounts := read(t, config), read(t, "/proc/self/mountinfo")
	do("create", "--bundle", b.Dir, b.ID)
	if diff := cmp.Diff(mounts, read(t, "/proc/self/mountinfo")); diff != "" {
		t.Errorf("mounts (-before +after):\n%s", diff)
	}
	do("start", b.ID)
	has(t, rig.AwaitReport(t, file).Env, "SECRET", canary)
	if read(t, config) != before {
		t.Error("config.json changed")
	}
	if found := rig.Find(t, canary, config, filepath.Join(b.Dir, "rootfs")); found != nil {
		t.Errorf("the value is in %q", found)
	}
	kept := rig.Find(t, canary, state, root)
	want := []string{filepath.Join(state, "exec"), root} // runsc keeps the spec that it was given
	if len(kept) != 2 || filepath.Dir(kept[0]) != want[0] || filepath.Dir(kept[1]) != want[1] {
		t.Errorf("the value is in %q, want a file in each of %q", kept, want)
	}
	for _, path := range kept {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o007 != 0 { // runsc: 0640, root's group
			t.Errorf("%s has mode %v, %v", path, info.Mode(), err)
		}
	}
	b.WriteSettings(t, "secrets.json", `{"db": {"SECRET": "rotated"}}`)
	has(t, rig.ParseReport(t, do("exec", b.ID, rig.PayloadPath, "report").Stdout).Env, "SECRET", canary)
	p, err := json.Marshal(specs.Process{Args: []string{rig.PayloadPath, "report"}, Cwd: "/", Env: []string{"A=1"}})
	if err != nil {
		t.Fatal(err)
	}
	process := filepath.Join(t.TempDir(), "process.json")
	rig.WriteFile(t, process, string(p), 0o600)
	report := rig.ParseReport(t, do("exec", "--process", process, b.ID).Stdout)
	has(t, report.Env, "SECRET", canary)
	has(t, report.Env, "A", "1")
	do("kill", b.ID, "KILL")
	rig.Eventually(t, "the container ends", func() bool {
		return strings.Contains(do("state", b.ID).Stdout, `"stopped"`)
	})
	do("delete", b.ID)
	if found := rig.Find(t, canary, state); found != nil {
		t.Errorf("deleted: the value is in %q", found)
	}

	t.Run("missing", func(t *testing.T) {
		b.WriteSettings(t, "secrets.json", `{}`)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		res := rig.Run(t, append(runsc, "create", "--bundle", b.Dir, b.ID)...)
		if res.Code != 11 || !strings.Contains(res.Stderr, `oci-secrets: secret "db": no secret "db" in `) {
			t.Errorf("exit code %d\n%s", res.Code, res.Stderr)
		}
	})
}

// TestShimInSpecExecOff has nothing to keep, and no state directory yet.
func TestShimInSpecExecOff(t *testing.T) {
	rig.NeedRoot(t)
	canary := rig.Canary()
	b, file := marking(t, "", canary, "mark")
	state := filepath.Join(t.TempDir(), "state")
	b.AddSettings(t, "state_dir = \""+state+"\"\n")
	b.AddSettings(t, "[runtime]\nexec = \"off\"\n")
	runsc, _ := runscFor(t, b)
	rig.MustRun(t, append(runsc, "run", "--bundle", b.Dir, b.ID)...)
	report, ok := rig.ReadReport(t, file)
	if !ok {
		t.Fatal("the program did not run")
	}
	has(t, report.Env, "SECRET", canary)
	if entries, err := os.ReadDir(state); err != nil || len(entries) > 0 {
		t.Errorf("%s has %v, %v", state, entries, err)
	}
}

// TestShimUnreadable has settings that a rootless engine's user may not read:
// what asks for nothing passes, and what asks is refused.
func TestShimUnreadable(t *testing.T) {
	rig.NeedRoot(t)
	b := bundle(t, "", rig.Canary())
	shim := filepath.Join(b.Dir, "oci-secrets-runtime-true")
	rig.CopyFile(t, rig.Binary(t), shim, 0o755)
	run := func(args ...string) rig.Result {
		return rig.Run(t, append([]string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "OCI_SECRETS_CONFIG=" + b.Config, shim}, args...)...)
	}
	if res := run("create", "--bundle", b.Dir, b.ID); res.Code != 15 || !strings.Contains(res.Stderr, "cannot be read") {
		t.Errorf("a container that asks: exit code %d\n%s", res.Code, res.Stderr)
	}
	shim = filepath.Join(b.Dir, "oci-secrets-runtime")
	if err := os.Rename(shim+"-true", shim); err != nil {
		t.Fatal(err)
	}
	if res := run("--version"); res.Code != 0 || strings.Contains(res.Stderr, "oci-secrets") {
		t.Errorf("the version: exit code %d\n%s", res.Code, res.Stderr)
	}
}

// TestShimInSpecVault has it with secrets of a Vault, in order, and with a Vault
// that is gone.
func TestShimInSpecVault(t *testing.T) {
	rig.NeedRoot(t)
	v := vaulttest.Start(t, vaulttest.Options{})
	v.Mount(t, "secret", 2)
	v.Put(t, 2, "secret", "db", map[string]any{"SECRET": "db", "OWN": "db"})
	v.Put(t, 2, "secret", "stripe", map[string]any{"SECRET": "stripe"})
	b, file := marking(t, "", "dict", "mark")
	b.StateDir(t)
	b.AddSettings(t, "deadline = \"2s\"\n")
	b.AddSettings(t, fmt.Sprintf("[vault]\naddress = %q\nca_cert = %q\nmount = \"secret\"\n[vault.auth]\nmethod = \"token\"\ntoken = %q\n", v.Address, v.CAFile, v.RootToken))
	b.Annotate(from, "db stripe")
	b.Annotate(dict, `{"INLINE": "x"}`)
	b.Spec.Process.Env = append(b.Spec.Process.Env, "OWN=image")
	b.Write(t)
	runsc, _ := runscFor(t, b)
	rig.MustRun(t, append(runsc, "run", "--bundle", b.Dir, b.ID)...)
	report, ok := rig.ReadReport(t, file)
	if !ok {
		t.Fatal("the program did not run")
	}
	for name, value := range map[string]string{"SECRET": "stripe", "OWN": "db", "INLINE": "x"} {
		rig.WantVar(t, report.Env, name, value)
	}
	v.Stop()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	res := rig.Run(t, append(runsc, "run", "--bundle", b.Dir, b.ID)...)
	if _, ran := rig.ReadReport(t, file); ran || res.Code != 13 || !strings.Contains(res.Stderr, "gave up at the deadline") {
		t.Errorf("exit code %d, want 13\n%s", res.Code, res.Stderr)
	}
}
