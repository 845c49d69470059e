// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// openDocker verifies docker with the shim.
func openDocker(ctx context.Context, image string) (*engine, error) {
	out, err := output(ctx, []string{"docker", "info", "--format", "{{json .}}"})
	var info struct {
		ServerVersion, DefaultRuntime string
		Runtimes                      map[string]any
		SecurityOptions               []string
	}
	if err == nil {
		err = json.Unmarshal([]byte(out), &info)
	}
	if err != nil || info.ServerVersion == "" {
		return nil, fault.New(failed, "does the daemon run, and may you use it?", "docker does not answer: %v", err)
	}
	major, _, _ := strings.Cut(info.ServerVersion, ".")
	if n, err := strconv.Atoi(major); err == nil && n < 24 {
		return nil, fault.New(failed, "24 and later have `docker run --annotation`", "docker %s knows no annotations, so no container can ask for secrets", info.ServerVersion)
	}
	if _, ok := info.Runtimes[runtimeName]; !ok {
		return nil, fault.New(failed, "oci-secrets install docker --reload", "docker does not know the runtime %s", runtimeName)
	}
	if rootless := slices.Contains(info.SecurityOptions, "name=rootless"); rootless != (os.Geteuid() != 0) {
		return nil, fault.New(failed, "run it as the user whose daemon it is", "the secret for it must be made by the user of the daemon, and that is another one")
	}
	docker := func(args ...string) []string { return append([]string{"docker"}, args...) }
	w := way{
		name: "docker", shim: true, fix: "oci-secrets install docker --reload",
		exec: func(name string, args ...string) []string { return append(docker("exec", name), args...) },
		annotations: func(name string) []string {
			return docker("inspect", "--format", "{{json .HostConfig.Annotations}}", name)
		},
		inspect: func(name string) []string { return docker("inspect", name) },
		remove:  func(name string) [][]string { return [][]string{docker("rm", "--force", name)} },
	}
	run := docker("run")
	if info.DefaultRuntime != runtimeName {
		run = append(run, "--runtime", runtimeName)
		w.name = fmt.Sprintf("docker run --runtime %s", runtimeName)
	}
	w.run = func(name, secret string, args ...string) ([]string, error) {
		return append(append(run[:len(run):len(run)], "--rm", "--name", name, "--pull", "never", "--network", "none",
			"--annotation", "secrets.oci/from="+secret, image), args...), nil
	}
	return &engine{ways: []way{w}, load: [][]string{docker("load", "--quiet")}, unload: [][]string{docker("rmi", "--force", image)}}, nil
}
