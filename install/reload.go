// SPDX-License-Identifier: Apache-2.0

package install

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// reload is how an engine is made to read its configuration.
type reload struct {
	unit, verb string // systemctl
	user       bool   // the user's systemd
	pidFile    string // of a daemon that reads it on SIGHUP; "" for none
}

func dockerReload(rootless bool) *reload {
	r := &reload{unit: "docker", verb: "reload", user: rootless, pidFile: "/run/docker.pid"}
	if rootless {
		r.pidFile = os.Getenv("XDG_RUNTIME_DIR") + "/docker.pid"
	}
	return r
}

func (r *reload) command() []string {
	if r.user {
		return []string{"systemctl", "--user", r.verb, r.unit}
	}
	return []string{"systemctl", r.verb, r.unit}
}

// Next says what is left to do; "" for nothing.
func (p *Plan) Next() string {
	switch {
	case p.reload == nil:
		return ""
	case p.reload.pidFile != "" && !systemd():
		return "kill -HUP $(cat " + p.reload.pidFile + ")"
	}
	return strings.Join(p.reload.command(), " ")
}

// Reload does it. Containers that run go on running.
func (p *Plan) Reload() error {
	r := p.reload
	switch {
	case r == nil:
		return nil
	case systemd():
		argv := r.command()
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil { //nolint:gosec // our own words
			return refuse("", "%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(string(out)))
		}
		return nil
	case r.pidFile != "":
		return hup(r.unit+"d", r.pidFile)
	}
	return refuse("restart it the way it was started", "there is no systemd here to restart %s", r.unit)
}

// hup signals the daemon whose pid is in a file, if it is that daemon.
func hup(name, pidFile string) error {
	b, err := os.ReadFile(pidFile)
	if err != nil {
		return refuse("start it; it reads its configuration then", "%s does not run: %w", name, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err == nil && pid <= 0 {
		err = errors.New("no pid")
	}
	var comm []byte
	if err == nil {
		comm, err = os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	}
	if err == nil && strings.TrimSpace(string(comm)) != name {
		err = fmt.Errorf("process %d is another program", pid)
	}
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGHUP)
	}
	if err != nil {
		return refuse("", "reload %s: %w", name, err)
	}
	return nil
}

func systemd() bool {
	_, err := os.Stat("/run/systemd/system")
	return err == nil
}
