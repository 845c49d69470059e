// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"cmp"
	"os"
	"strings"

	"github.com/oci-secrets/oci-secrets/hook/pass"
	"github.com/oci-secrets/oci-secrets/hook/shim/argv"
	"github.com/oci-secrets/oci-secrets/resolver/config"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// findRuntime gives the absolute path of the real runtime: the program in the
// shim's name, else the one in the settings, else the first of runc and crun on
// PATH.
func findRuntime(name string) (string, error) {
	self, err := os.Stat("/proc/self/exe")
	if err != nil {
		return "", fault.New(fault.Settings, "", "find out which program this is: %w", err)
	}
	programs := []string{"runc", "crun"}
	if program := strings.TrimPrefix(name, pass.ShimName+"-"); program != name {
		programs = []string{program}
	} else {
		path, err := config.RuntimePath("")
		if err != nil {
			return "", err
		}
		if path != "" {
			return path, checkRuntime(path, self)
		}
	}
	if path := pass.Find(programs); path != "" {
		return path, nil
	}
	return "", fault.New(fault.Settings, "install one, or set path below [runtime] in the settings",
		"no runtime %s in %s", strings.Join(programs, " or "), cmp.Or(os.Getenv("PATH"), argv.DefaultPath))
}

// checkRuntime refuses what is no program, and the shim itself by any name.
func checkRuntime(path string, self os.FileInfo) error {
	const hint = "path below [runtime] in the settings names the real runtime, such as /usr/sbin/runc"
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fault.New(fault.Settings, hint, "the runtime %s: %w", path, err)
	case os.SameFile(info, self):
		return fault.New(fault.Settings, hint, "the runtime %s is this program", path)
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0:
		return fault.New(fault.Settings, hint, "the runtime %s is not a program", path)
	}
	return nil
}
