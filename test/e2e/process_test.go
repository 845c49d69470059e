// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// TestProcess delivers to processes that are set up in all kinds of ways.
func TestProcess(t *testing.T) {
	for _, c := range []struct {
		name  string
		setup func(t *testing.T, b *rig.Bundle)
		check func(t *testing.T, r rig.Report)
	}{
		{name: "user 1000", setup: func(_ *testing.T, b *rig.Bundle) {
			b.Spec.Process.User = specs.User{UID: 1000, GID: 1000}
		}, check: func(t *testing.T, r rig.Report) {
			if r.UID != 1000 {
				t.Errorf("uid %d", r.UID)
			}
		}},
		{name: "no capabilities", setup: func(_ *testing.T, b *rig.Bundle) {
			b.Spec.Process.Capabilities = &specs.LinuxCapabilities{}
		}},
		{name: "all capabilities", setup: func(_ *testing.T, b *rig.Bundle) {
			all := []string{"CAP_SYS_PTRACE", "CAP_SYS_ADMIN", "CAP_SETUID", "CAP_NET_ADMIN"}
			b.Spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all, Inheritable: all, Ambient: all}
		}},
		{name: "writable root", setup: func(_ *testing.T, b *rig.Bundle) { b.Spec.Root.Readonly = false }},
		{name: "new privileges", setup: func(_ *testing.T, b *rig.Bundle) { b.Spec.Process.NoNewPrivileges = false }},
		{name: "new privileges as user 1000", setup: func(_ *testing.T, b *rig.Bundle) {
			b.Spec.Process.NoNewPrivileges = false
			b.Spec.Process.User = specs.User{UID: 1000, GID: 1000}
		}},
		{name: "seccomp", setup: func(_ *testing.T, b *rig.Bundle) { b.Spec.Linux.Seccomp = seccomp() }},
		{name: "seccomp and new privileges", setup: func(_ *testing.T, b *rig.Bundle) {
			b.Spec.Process.NoNewPrivileges = false
			b.Spec.Linux.Seccomp = seccomp()
		}},
		{name: "user namespace", setup: func(_ *testing.T, b *rig.Bundle) {
			ids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
			b.Spec.Linux.Namespaces = append(b.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: "user"})
			b.Spec.Linux.UIDMappings, b.Spec.Linux.GIDMappings = ids, ids
		}},
		{name: "the host's pids", setup: func(_ *testing.T, b *rig.Bundle) { hostPIDs(b) }},
		{name: "setuid program", setup: func(t *testing.T, b *rig.Bundle) {
			b.Spec.Process.NoNewPrivileges = false
			b.Spec.Process.User = specs.User{UID: 1000, GID: 1000}
			if err := os.Chmod(filepath.Join(b.Dir, "rootfs", rig.PayloadPath), 0o755|os.ModeSetuid); err != nil {
				t.Fatal(err)
			}
		}, check: func(t *testing.T, r rig.Report) {
			if r.UID != 1000 || r.EUID != 0 {
				t.Errorf("uid %d, effective %d; a traced exec would lose the set-user-ID bit", r.UID, r.EUID)
			}
		}},
		{name: "32-bit program", setup: on386},
	} {
		t.Run(c.name, func(t *testing.T) {
			runtimes(t, func(t *testing.T, name string) {
				value := rig.Canary()
				b := bundle(t, "createRuntime", value)
				c.setup(t, b)
				b.Write(t)
				res := rig.NewRuntime(t, name).Run(t, b)
				if res.Code != 0 {
					t.Fatalf("exit code %d\n%s", res.Code, res.Stderr)
				}
				report := rig.ParseReport(t, res.Stdout)
				has(t, report.Env, "SECRET", value)
				if slices.Contains(report.Environ, "SECRET="+value) {
					t.Error("the value is in /proc/self/environ")
				}
				if c.check != nil {
					c.check(t, report)
				}
			})
		})
	}
}

// on386 has the container run a program for 32 bits, which a kernel may be built
// without (CONFIG_IA32_EMULATION).
func on386(t *testing.T, b *rig.Bundle) {
	if err := exec.Command(rig.Payload(t, "386"), "true").Run(); errors.Is(err, syscall.ENOEXEC) {
		t.Skip("this kernel runs no programs for 32 bits")
	}
	rig.CopyFile(t, rig.Payload(t, "386"), filepath.Join(b.Dir, "rootfs", rig.PayloadPath), 0o755)
}

// seccomp is a profile of Docker's kind: what is not listed fails.
func seccomp() *specs.LinuxSeccomp {
	return &specs.LinuxSeccomp{
		DefaultAction: specs.ActErrno,
		Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32},
		Syscalls: []specs.LinuxSyscall{{Action: specs.ActAllow, Names: strings.Fields(`
			access arch_prctl brk capget capset chdir clock_getres clock_gettime clock_nanosleep clone clone3 close
			close_range dup dup2 dup3 epoll_create1 epoll_ctl epoll_pwait epoll_wait eventfd2 execve execveat exit
			exit_group faccessat faccessat2 fchdir fchown fcntl fcntl64 fstat fstat64 fstatfs futex getcwd getdents64
			getegid geteuid getgid getpgrp getpid getppid getrandom getresgid getresuid getrlimit gettid getuid ioctl
			kill lseek madvise memfd_create mmap mmap2 mprotect munmap nanosleep newfstatat open openat openat2 pipe2
			poll ppoll prctl pread64 prlimit64 pwrite64 read readlink readlinkat rename renameat renameat2 rseq
			rt_sigaction rt_sigprocmask rt_sigreturn sched_getaffinity sched_yield set_robust_list set_tid_address
			setgid setgroups setresgid setresuid setsid setuid sigaltstack stat statx tgkill tkill uname wait4 write
			writev sendmsg sendto recvmsg socket connect set_thread_area`)}},
	}
}

// TestProgram delivers to programs of all kinds, which print their environment
// with every variable ended by a NUL.
func TestProgram(t *testing.T) {
	for _, c := range []struct {
		name  string
		setup func(t *testing.T, b *rig.Bundle)
		args  []string
	}{
		{"static", func(t *testing.T, b *rig.Bundle) { install(t, b, "/bin/busybox") }, []string{"/bin/busybox", "env", "-0"}},
		{"dynamic", func(t *testing.T, b *rig.Bundle) { install(t, b, "/usr/bin/env") }, []string{"/usr/bin/env", "-0"}},
		{"script", func(t *testing.T, b *rig.Bundle) {
			install(t, b, "/bin/busybox")
			program(t, b, "/script", "#!/bin/busybox sh\n/bin/busybox env -0\n")
		}, []string{"/script", "an argument"}},
		{"bash", func(t *testing.T, b *rig.Bundle) {
			install(t, b, "/bin/bash")
			install(t, b, "/usr/bin/env")
		}, []string{"/bin/bash", "-c", `exec -c /usr/bin/env -0 SECRET="$SECRET"`}},
		{"a title over argv and the environment", func(t *testing.T, b *rig.Bundle) {
			install(t, b, "/usr/bin/perl")
			install(t, b, "/usr/bin/env")
		}, []string{"/usr/bin/perl", "-e", `$0 = "x" x 2000; exec "/usr/bin/env", "-0"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			runtimes(t, func(t *testing.T, name string) {
				value := rig.Canary()
				b := bundle(t, "createRuntime", value)
				c.setup(t, b)
				b.Spec.Process.Args = c.args
				b.Write(t)
				res := rig.NewRuntime(t, name).Run(t, b)
				if res.Code != 0 {
					t.Fatalf("exit code %d\n%s", res.Code, res.Stderr)
				}
				has(t, strings.Split(res.Stdout, "\x00"), "SECRET", value)
			})
		})
	}
}

// install copies a program and the libraries that it is linked with into the
// root file system, to the places they have on the host.
func install(t *testing.T, b *rig.Bundle, path string) {
	t.Helper()
	files := []string{path}
	libraries, _ := exec.Command("ldd", path).Output() // a static one has none
	for line := range strings.Lines(string(libraries)) {
		for word := range strings.FieldsSeq(line) {
			if filepath.IsAbs(word) {
				files = append(files, word)
			}
		}
	}
	for _, f := range files {
		to := filepath.Join(b.Dir, "rootfs", f)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		rig.CopyFile(t, f, to, 0o755)
	}
}

// program writes a program into the root file system.
func program(t *testing.T, b *rig.Bundle, path, text string) {
	t.Helper()
	rig.WriteFile(t, filepath.Join(b.Dir, "rootfs", path), text, 0o755)
}

// TestNoProgram runs what cannot be run: the error is the runtime's own, the
// same as without the hook.
func TestNoProgram(t *testing.T) {
	for _, c := range []struct {
		name  string
		setup func(t *testing.T, b *rig.Bundle)
		arg   string
	}{
		{"not there", func(*testing.T, *rig.Bundle) {}, "/nothing"},
		{"not in PATH", func(*testing.T, *rig.Bundle) {}, "nothing"},
		{"no interpreter", func(t *testing.T, b *rig.Bundle) { program(t, b, "/script", "#!/bin/nothing\n") }, "/script"},
		{"not executable", func(t *testing.T, b *rig.Bundle) { program(t, b, "/text", "text\n") }, "/text"},
	} {
		t.Run(c.name, func(t *testing.T) {
			runtimes(t, func(t *testing.T, name string) {
				r := rig.NewRuntime(t, name)
				log := r.Log(t)
				run := func(stage string) rig.Result {
					b := bundle(t, stage, rig.Canary())
					c.setup(t, b)
					b.Spec.Process.Args = []string{c.arg}
					b.Write(t)
					res := r.Run(t, b)
					res.Stderr = timestamp.ReplaceAllString(strings.ReplaceAll(res.Stderr, b.Dir, "DIR"), "")
					return res
				}
				bare, hooked := run(""), run("createRuntime")
				if bare.Code == 0 || bare.Stderr == "" || bare != hooked {
					t.Errorf("without the hook: %+v\nwith it:          %+v", bare, hooked)
				}
				if lines := log.Lines(); lines != nil {
					t.Errorf("logged: %q", lines)
				}
			})
		})
	}
}

// timestamp is what runtimes put before a message.
var timestamp = regexp.MustCompile(`time="?[^ "]+"? |(?m)^[0-9T:.-]+Z?: `)

// TestSize delivers much to programs that have much already.
func TestSize(t *testing.T) {
	for _, arch := range []string{"amd64", "386"} {
		for _, total := range []int{1 << 10, 100 << 10, 600 << 10} {
			t.Run(fmt.Sprintf("%s/%d KiB", arch, total>>10), func(t *testing.T) {
				runtimes(t, func(t *testing.T, name string) {
					large := map[string]string{}
					for i := range 6 {
						large[fmt.Sprintf("SECRET_%d", i)] = strings.Repeat(string(rune('a'+i)), total/6)
					}
					b := rig.NewBundle(t, "createRuntime", map[string]map[string]string{"db": large})
					b.Annotate(from, "db")
					if arch == "386" {
						on386(t, b)
					}
					expect(t, name, b, large)
				})
			})
		}
	}
	t.Run("5000 arguments", func(t *testing.T) {
		runtimes(t, func(t *testing.T, name string) {
			b := bundle(t, "createRuntime", "value")
			for i := range 5000 {
				b.Spec.Process.Args = append(b.Spec.Process.Args, fmt.Sprint("argument ", i))
			}
			if r := expect(t, name, b, map[string]string{"SECRET": "value"}); r.Args != 5002 {
				t.Errorf("the program has %d arguments", r.Args)
			}
		})
	})
	t.Run("1000 variables of 1 KiB", func(t *testing.T) {
		runtimes(t, func(t *testing.T, name string) {
			b := bundle(t, "createRuntime", "value")
			for i := range 1000 {
				b.Spec.Process.Env = append(b.Spec.Process.Env, fmt.Sprintf("V%d=%s", i, strings.Repeat("v", 1<<10)))
			}
			at := 500
			b.Spec.Process.Env[at] = "SECRET=old"
			want := slices.Clone(b.Spec.Process.Env)
			want[at] = "SECRET=value"
			r := expect(t, name, b, map[string]string{"SECRET": "value"})
			if !slices.Equal(r.Env, want) {
				t.Error("the other variables changed, or their order")
			}
		})
	})
}

func expect(t *testing.T, runtime string, b *rig.Bundle, want map[string]string) rig.Report {
	t.Helper()
	b.Write(t)
	res := rig.NewRuntime(t, runtime).Run(t, b)
	if res.Code != 0 {
		t.Fatalf("exit code %d\n%s", res.Code, res.Stderr)
	}
	r := rig.ParseReport(t, res.Stdout)
	for name, value := range want {
		has(t, r.Env, name, value)
	}
	return r
}

// TestSmallStack gives the program a stack that the variables fit on, and one
// that they do not.
func TestSmallStack(t *testing.T) {
	run := func(t *testing.T, name string, size int) (rig.Result, []string) {
		value := strings.Repeat("s", size/6)
		large := map[string]string{}
		for i := range 6 {
			large[fmt.Sprint("SECRET_", i)] = value
		}
		b := rig.NewBundle(t, "createRuntime", map[string]map[string]string{"db": large})
		b.Annotate(from, "db")
		b.Spec.Process.Rlimits = append(b.Spec.Process.Rlimits, specs.POSIXRlimit{Type: "RLIMIT_STACK", Soft: 256 << 10, Hard: 256 << 10})
		b.Write(t)
		r := rig.NewRuntime(t, name)
		log := r.Log(t)
		return r.Run(t, b), log.Lines()
	}
	t.Run("fits", func(t *testing.T) {
		runtimes(t, func(t *testing.T, name string) {
			res, _ := run(t, name, 60<<10)
			if res.Code != 0 {
				t.Fatalf("exit code %d\n%s", res.Code, res.Stderr)
			}
			has(t, rig.ParseReport(t, res.Stdout).Env, "SECRET_5", strings.Repeat("s", 10<<10))
		})
	})
	t.Run("too small", func(t *testing.T) {
		runtimes(t, func(t *testing.T, name string) {
			res, lines := run(t, name, 600<<10)
			if res.Code == 0 || res.Stdout != "" {
				t.Errorf("exit code %d, output %.200q", res.Code, res.Stdout)
			}
			const want = "RLIMIT_STACK"
			if all := strings.Join(lines, "\n"); !strings.Contains(all, want) {
				t.Errorf("%q is not in the log %q", want, all)
			}
			// crun sets limits before hooks, so the hook sees it. runc sets them
			// when its hooks are through, so only the exec shows it.
			if name == rig.Crun {
				if !strings.Contains(res.Stderr, "exit code: 10") {
					t.Errorf("the hook did not refuse: %q", res.Stderr)
				}
			} else if res.Code != 128+9 {
				t.Errorf("exit code %d, want that of a killed program", res.Code)
			}
		})
	})
}
