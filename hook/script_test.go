// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

var update = flag.Bool("update", false, "write the scripts' expectations")

func TestMain(m *testing.M) {
	if err := ownRun(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	rig.Cleanup()
	os.Exit(code)
}

// ownRun has root's tests run in a mount namespace with a /run of its own: there is
// the state directory of settings that name none.
func ownRun() error {
	const done = "OCI_SECRETS_TEST_OWN_RUN"
	if os.Geteuid() != 0 || os.Getenv(done) != "" {
		return nil
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		return err
	}
	argv := []string{"unshare", "--mount", "--propagation", "private", "sh", "-c", `mount -t tmpfs tmpfs /run && exec "$@"`, "sh"}
	return syscall.Exec(unshare, append(argv, os.Args...), append(os.Environ(), done+"=1"))
}

// TestScripts runs the real binary, and not main in this process: most of what
// containers wait for happens before main.
//
//	fails CODE PROGRAM [ARGUMENT ...]   runs a program that must exit with CODE
//
// The condition root says that the tests run as root. $BIN is the binary; it is on the path, too.
func TestScripts(t *testing.T) {
	binary := rig.Binary(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Setup: func(env *testscript.Env) error {
			env.Setenv("BIN", binary)
			env.Setenv("PATH", filepath.Dir(binary)+string(filepath.ListSeparator)+os.Getenv("PATH"))
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond != "root" {
				return false, fmt.Errorf("no condition %q", cond)
			}
			return os.Geteuid() == 0, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fails": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) < 2 {
					ts.Fatalf("usage: fails CODE PROGRAM [ARGUMENT ...]")
				}
				want, err := strconv.Atoi(args[0])
				ts.Check(err)
				var exit *exec.ExitError
				if err := ts.Exec(args[1], args[2:]...); !errors.As(err, &exit) || exit.ExitCode() != want {
					ts.Fatalf("want exit code %d, got %v", want, err)
				}
			},
		},
	})
}
