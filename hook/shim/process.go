// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/oci-secrets/oci-secrets/hook/shim/argv"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// process is a process of the runtime-spec. Only members that are set here are
// read; the others stay as they stand in the container's configuration.
type process map[string]json.RawMessage

func (p process) set(name string, v any) {
	b, err := json.Marshal(v)
	if err != nil { // strings, numbers and lists of them
		panic(err)
	}
	p[name] = b
}

// get reads a member that may not be there.
func (p process) get(name string, v any) error {
	b, ok := p[name]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fault.New(fault.Document, "", "process.%s is not as it must be", name)
	}
	return nil
}

// processOf is the process that the rest of an exec's command line describes,
// by the rules of the runtime: values must not be on a command line, so the
// whole of it becomes a file. explicit is what --env sets.
//
// runc and others begin with the container's own process (runc, exec.go,
// getProcess). crun begins with an empty one, takes what is missing from the
// container where it runs it, and of the container's environment nothing if
// there is any --env (crun, src/exec.c; measured with 1.8.1).
func (s *shim) processOf(c *container) (text []byte, explicit []string, err error) {
	own, err := c.doc.Process()
	if err != nil {
		return nil, nil, err
	}
	container := process{}
	if err := json.Unmarshal(own, &container); err != nil {
		return nil, nil, fault.New(fault.Document, "", "the container's process is not as it must be")
	}
	p := container
	explicit = argv.All(s.Local, "env")
	if s.isCrun() {
		p = process{}
		p.set("cwd", "/")
		if env, ok := container["env"]; ok && len(explicit) == 0 {
			p["env"] = env
		}
	}
	var env []string
	if err := p.get("env", &env); err != nil {
		return nil, nil, err
	}
	p.set("env", append(env, explicit...))
	p.set("args", s.Args[min(s.Rest+1, len(s.Args)):])
	p.set("terminal", s.isOn("tty"))
	if s.isOn("no-new-privs") {
		p.set("noNewPrivileges", true)
	}
	for flag, member := range map[string]string{"cwd": "cwd", "apparmor": "apparmorProfile", "process-label": "selinuxLabel"} {
		if v, _ := argv.Last(s.Local, flag); v != "" {
			p.set(member, v)
		}
	}
	if err := s.user(p); err != nil {
		return nil, nil, err
	}
	if err := s.capabilities(p, s.isCrun()); err != nil {
		return nil, nil, err
	}
	text, err = json.Marshal(p)
	return text, explicit, err
}

// isOn reports whether a switch is on.
func (s *shim) isOn(name string) bool {
	v, ok := argv.Last(s.Local, name)
	return ok && v != "false"
}

// user sets the user: UID[:GID], and additional groups.
func (s *shim) user(p process) error {
	name, _ := argv.Last(s.Local, "user")
	groups := argv.All(s.Local, "additional-gids")
	if name == "" && len(groups) == 0 {
		return nil
	}
	user := process{}
	if err := p.get("user", &user); err != nil {
		return err
	}
	uid, gid, hasGID := strings.Cut(name, ":")
	ids := map[string]string{}
	if name != "" {
		ids["uid"] = uid
	}
	if hasGID {
		ids["gid"] = gid
	}
	for member, id := range ids {
		n, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return fault.New(fault.Usage, "write it as UID or UID:GID", "the user %q has a %s that is no number", name, member)
		}
		user.set(member, n)
	}
	var gids []uint64
	if err := user.get("additionalGids", &gids); err != nil {
		return err
	}
	for _, g := range groups {
		n, err := strconv.ParseUint(g, 10, 32)
		if err != nil {
			return fault.New(fault.Usage, "", "the additional group %q is no number", g)
		}
		gids = append(gids, n)
	}
	if len(gids) > 0 {
		user.set("additionalGids", gids)
	}
	p.set("user", user)
	return nil
}

// capabilities adds those of --cap as runc does, or as crun does sets them.
func (s *shim) capabilities(p process, replace bool) error {
	add := argv.All(s.Local, "cap")
	if len(add) == 0 {
		return nil
	}
	sets := map[string][]string{}
	if err := p.get("capabilities", &sets); err != nil {
		return err
	}
	for _, set := range []string{"bounding", "effective", "permitted", "ambient"} {
		// Ambient ones need inheritable ones, which --cap does not give.
		if set != "ambient" || replace || sets["inheritable"] != nil {
			sets[set] = append(sets[set], add...)
		}
	}
	p.set("capabilities", sets)
	return nil
}
