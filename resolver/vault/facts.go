// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/oci-secrets/oci-secrets/resolver/private"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// facts is what a Source found out of its container.
type facts struct {
	prefix   func() (string, error) // expands the prefix, once
	once     sync.Once
	workload func() (*workload, error) // finds it, once
	found    sync.Once
}

// known are the placeholders of a prefix. None of them comes from what whoever
// starts a container may write: one host serves many tenants.
var known = map[string]func(*Source) (string, error){
	"namespace": func(s *Source) (string, error) {
		w, err := s.workload()
		if err != nil {
			return "", err
		}
		return w.namespace, nil
	},
	"service_account": func(s *Source) (string, error) {
		w, err := s.workload()
		if err != nil {
			return "", err
		}
		return w.account, nil
	},
	"user": func(*Source) (string, error) { return userName(private.HostUID()) },
	"host": func(*Source) (string, error) { return os.Hostname() },
}

var placeholder = regexp.MustCompile(`\{([^{}/]*)\}`)

// checkPrefix refuses a prefix that is no path, and a placeholder that is not
// known. A part of the path has at most one, or two tenants might share it:
// what a-b and c make, a and b-c make too.
func (c Config) checkPrefix() error {
	if c.Prefix == "" {
		return nil
	}
	for _, m := range placeholder.FindAllStringSubmatch(c.Prefix, -1) {
		name := m[1]
		if known[name] == nil {
			return fault.New(fault.Settings, "the placeholders are {"+strings.Join(slices.Sorted(maps.Keys(known)), "}, {")+"}",
				"vault: prefix %q: {%s} is not known", c.Prefix, clean(name))
		}
		if name == "namespace" || name == "service_account" {
			if !c.Auth.AsWorkload && !(c.Trial && c.personal()) {
				return c.unverified(name)
			}
			if err := c.Auth.checkWorkload(); err != nil {
				return err
			}
		}
	}
	for part := range strings.SplitSeq(c.Prefix, "/") {
		if len(placeholder.FindAllString(part, 2)) > 1 {
			return fault.New(fault.Settings, "put a / between them", "vault: prefix %q: a part of the path has two placeholders", c.Prefix)
		}
	}
	if !plain(placeholder.ReplaceAllString(c.Prefix, "x")) {
		return settings("vault: prefix %q: parts are letters, digits, '.', '_' and '-', joined by '/', and may have a {placeholder}", c.Prefix)
	}
	return nil
}

// unverified is the fault of a prefix that believes a token nobody verifies. A
// pod may have the kubelet project any text of its own at the place of the token,
// out of a ConfigMap for one: only where Vault lets nobody in who is not in a
// token that is signed, what stands in it is so.
func (c Config) unverified(name string) error {
	hint := "set as_workload = true under [vault.auth], so that Vault verifies the token in which it stands"
	if c.personal() {
		hint += "; VAULT_TOKEN is instead of that, and is to be unset"
	}
	return fault.New(fault.Settings, hint, "vault: prefix %q: {%s} needs as_workload", c.Prefix, name)
}

// personal reports whether a person's own token is instead of the login. Whoever
// tries with it what a container would get gives nothing to anybody.
func (c Config) personal() bool { return slices.Contains(c.variables, "VAULT_TOKEN") }

// prefix is that of the settings with facts in the place of placeholders. The
// settings themselves stay as they are: others read them at the same time.
func (s *Source) prefix() (string, error) {
	s.facts.once.Do(func() {
		prefix, err := s.expanded(s.config.Prefix)
		s.facts.prefix = func() (string, error) { return prefix, err }
	})
	return s.facts.prefix()
}

func (s *Source) expanded(prefix string) (string, error) {
	var failed error
	prefix = placeholder.ReplaceAllStringFunc(prefix, func(p string) string {
		fact, err := known[strings.Trim(p, "{}")](s)
		switch {
		case failed != nil:
		case err != nil:
			failed = unknown(p, err)
		case strings.Contains(fact, "/") || !plain(fact):
			failed = fault.New(fault.Refused, "", "vault: prefix: %s is %q here, which cannot be a part of a path", p, clean(fact))
		}
		return fact
	})
	if failed == nil && prefix != "" && !plain(prefix) {
		failed = fault.New(fault.Refused, "", "vault: prefix: it is %q here, which is no path", clean(prefix))
	}
	return prefix, failed
}

// unknown is the error of a fact that is not known. It is a refusal unless the
// cause has a class.
func unknown(fact string, err error) error {
	err = fmt.Errorf("vault: prefix: %s is not known: %w", fact, err)
	if _, ok := fault.ClassOf(err); !ok {
		return fault.New(fault.Refused, "", "%s", clean(err.Error()))
	}
	return err
}

// userName is the name of a user of the host. It is looked up in the file and
// not through os/user, which believes $USER for a user who is not there.
func userName(uid int) (string, error) {
	return userIn("/etc/passwd", uid)
}

func userIn(file string, uid int) (string, error) {
	if uid == 0 {
		return "root", nil
	}
	if uid > 0 {
		user, err := entry(file, 2, strconv.Itoa(uid))
		if err != nil {
			return "", err
		}
		if user != nil {
			return user[0], nil
		}
	}
	return "", fault.New(fault.Refused, "only the users in "+file+" have a name here", "uid %d, who runs the engine, is not in %s", uid, file)
}

// entry is the first line of a password file with this text in a field; nil where
// there is none.
func entry(file string, field int, text string) ([]string, error) {
	data, err := private.ReadTrusted(file)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Split(line, ":"); len(f) > 2 && f[field] == text {
			return f, nil
		}
	}
	return nil, nil
}

// owners are the uids of a user whom the settings name under key, by name or by
// number: one, or none where nobody is named.
func owners(key, user string) ([]uint32, error) {
	if user == "" {
		return nil, nil
	}
	number := user
	if !only(user, "0123456789") {
		found, err := entry("/etc/passwd", 0, user)
		if err != nil {
			return nil, err
		}
		if found == nil {
			return nil, fault.New(fault.Settings, "write the user's number", "vault: %s: there is no user %q in /etc/passwd", key, clean(user))
		}
		number = found[2]
	}
	uid, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return nil, settings("vault: %s: %q is not the number of a user", key, clean(number))
	}
	return []uint32{uint32(uid)}, nil
}
