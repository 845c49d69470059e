// SPDX-License-Identifier: Apache-2.0

// Package rig is what the end-to-end tests stand on: the program under test
// and the containers' programs, built once for a test binary; the real
// runtimes; bundles to run; and the search for a value that must not be found.
//
// A runtime that is not there fails the test, because a test that did not run
// is not a test that passed; the message says how to get it.
package rig

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds every command of a test: a container that hangs must end as
// a failure and not as a stuck run.
const patience = 60 * time.Second

// Root is the directory of the module.
func Root(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			tb.Fatal("the test does not run inside the module")
		}
		dir = parent
	}
}

// NeedRoot fails a test that cannot run as another user. A plain `go test` of
// such a user skips it.
func NeedRoot(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("OCI_SECRETS_TEST_REQUIRE") != "" {
		tb.Fatal("this test starts containers and must run as root")
	}
	tb.Skip("this test starts containers and must run as root: sudo make test")
}

// build is one program, built once for all tests of a binary.
type build struct {
	once sync.Once
	path string
	err  error
}

var (
	buildDir sync.Once
	builtIn  string
	builds   sync.Map // package and GOARCH -> *build
)

// Binary builds oci-secrets and gives its path.
func Binary(tb testing.TB) string { return compile(tb, "./hook", runtime.GOARCH) }

// Payload builds the containers' program for goarch, static.
func Payload(tb testing.TB, goarch string) string { return compile(tb, "./test/payload", goarch) }

// Cleanup removes what was built. It is for TestMain.
func Cleanup() { _ = os.RemoveAll(builtIn) }

func compile(tb testing.TB, pkg, goarch string) string {
	tb.Helper()
	root := Root(tb)
	buildDir.Do(func() {
		var err error
		// Not below the test's own directory, which others may not enter:
		// rootless engines run these programs too.
		if builtIn, err = os.MkdirTemp("", "oci-secrets-built-"); err == nil {
			err = os.Chmod(builtIn, 0o755)
		}
		if err != nil {
			tb.Fatal(err)
		}
	})
	v, _ := builds.LoadOrStore(pkg+goarch, &build{})
	b := v.(*build)
	b.once.Do(func() {
		name := "oci-secrets"
		if pkg != "./hook" {
			name = filepath.Base(pkg) + "-" + goarch
		}
		b.path = filepath.Join(builtIn, name)
		cmd := exec.Command("go", "build", "-trimpath", "-tags", "urfave_cli_no_docs", "-ldflags", "-s -w", "-o", b.path, pkg)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+goarch)
		if out, err := cmd.CombinedOutput(); err != nil {
			b.err = fmt.Errorf("build %s for %s: %w\n%s", pkg, goarch, err, out)
		}
	})
	if b.err != nil {
		tb.Fatal(b.err)
	}
	return b.path
}

// Result is how a command ended.
type Result struct {
	Stdout, Stderr string
	Code           int // -1 where a signal ended it
}

// Run runs a command with nothing on its standard input.
func Run(tb testing.TB, argv ...string) Result {
	tb.Helper()
	return RunWith(tb, nil, "", argv...)
}

// RunWith is Run with an environment (nil for the test's own) and an input.
func RunWith(tb testing.TB, env []string, stdin string, argv ...string) Result {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = env
	cmd.Stdin = strings.NewReader(stdin)
	// A container that goes on holds the pipes; files do not make us wait.
	dir := tb.TempDir()
	out, errs := create(tb, dir, "stdout"), create(tb, dir, "stderr")
	cmd.Stdout, cmd.Stderr = out, errs
	err := cmd.Run()
	if ctx.Err() != nil {
		tb.Fatalf("%q did not end within %v", argv, patience)
	}
	if _, ended := err.(*exec.ExitError); err != nil && !ended { //nolint:errorlint // as exec documents it
		tb.Fatalf("%q: %v", argv, err)
	}
	return Result{read(tb, out), read(tb, errs), cmd.ProcessState.ExitCode()}
}

// MustRun is Run for a command that must succeed.
func MustRun(tb testing.TB, argv ...string) Result {
	tb.Helper()
	r := Run(tb, argv...)
	if r.Code != 0 {
		tb.Fatalf("%q: exit code %d\n%s%s", argv, r.Code, r.Stdout, r.Stderr)
	}
	return r
}

func create(tb testing.TB, dir, name string) *os.File {
	tb.Helper()
	// Appended to, as crun opens it a second time for what hooks print.
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o666)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func read(tb testing.TB, f *os.File) string {
	tb.Helper()
	b, err := os.ReadFile(f.Name())
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

// Eventually waits until ok says so. It is for conditions that nothing
// announces; it polls, and gives up as a failure.
func Eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("not within %v: %s", patience, what)
		}
	}
}
