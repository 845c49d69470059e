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
	"time"
)

// reload is how an engine is made to read its configuration.
type reload struct {
	unit, verb string // systemctl
	user       bool   // the user's systemd
	pidFile    string // of a daemon that reads it on SIGHUP; "" for none

	// keeps says that the engine keeps what it has once read, and only a restart
	// makes it forget.
	keeps bool

	// knows says whether the engine does as it is told, where it reads its
	// configuration some time after it was told to; nil where it does not.
	knows func() bool
}

// settle is how long an engine may take.
const settle = 10 * time.Second

func (m *Machine) dockerReload(byDefault bool) *reload {
	r := &reload{unit: "docker", verb: "reload", user: m.Rootless(), keeps: true, pidFile: "/run/docker.pid"}
	if m.Rootless() {
		r.pidFile = os.Getenv("XDG_RUNTIME_DIR") + "/docker.pid"
	}
	r.knows = func() bool {
		out, err := m.Run("docker", "info", "--format", "{{.DefaultRuntime}} {{json .Runtimes}}")
		name, runtimes, _ := strings.Cut(out, " ")
		return err == nil && strings.Contains(runtimes, `"`+runtimeName+`"`) && (!byDefault || name == runtimeName)
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
	case p.remove && p.reload.keeps:
		return "restart " + p.reload.unit + ", which until then keeps the runtime; unless live-restore is on, that stops its containers"
	case p.reload.pidFile != "" && !systemd():
		return "kill -HUP $(cat " + p.reload.pidFile + ")"
	}
	return strings.Join(p.reload.command(), " ")
}

// Reload does it, and waits until it is done. Containers that run go on running.
func (p *Plan) Reload() error {
	if p.reload == nil || p.remove && p.reload.keeps {
		return nil
	}
	if err := p.reload.run(); err != nil || p.reload.knows == nil {
		return err
	}
	for end := time.Now().Add(settle); !p.reload.knows(); time.Sleep(settle / 100) {
		if time.Now().After(end) {
			return refuse("its log says why", "%s was told to read its configuration, and does not do as it says", p.Engine)
		}
	}
	return nil
}

func (r *reload) run() error {
	switch {
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
