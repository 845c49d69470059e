// SPDX-License-Identifier: Apache-2.0

package install

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/oci-secrets/oci-secrets/spec"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// Quadlets reads what podman makes services of, and returns an error for each
// annotation of ours that it would cut up: it takes `Annotation=secrets.oci/from=db
// stripe` for two, of which the second says nothing, and the container would start
// with half of its secrets (podman-systemd.unit(5)).
func (m *Machine) Quadlets() error {
	dirs := []string{"/etc/containers/systemd", "/usr/share/containers/systemd", "/run/containers/systemd"}
	if m.Rootless() {
		users := "/etc/containers/systemd/users"
		dirs = []string{m.etc("containers/systemd"), users, filepath.Join(users, strconv.Itoa(os.Getuid()))}
		if run := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(run) {
			dirs = append(dirs, filepath.Join(run, "containers/systemd"))
		}
	}
	var errs fault.List
	seen := map[string]bool{}
	for _, dir := range dirs {
		m.quadlets(dir, dir == "/etc/containers/systemd/users", seen, &errs)
	}
	return errs.Err()
}

// quadlets reads the files in dir and, unless it is flat, in the directories below.
func (m *Machine) quadlets(dir string, flat bool, seen map[string]bool, errs *fault.List) {
	dir, err := m.real(dir)
	if err != nil || seen[dir] {
		return
	}
	seen[dir] = true
	names := m.list(dir)
	slices.Sort(names)
	for _, name := range names {
		path := filepath.Join(dir, name)
		switch ext := filepath.Ext(name); {
		case ext == ".container" || ext == ".conf" && strings.HasSuffix(dir, "container.d"):
			text, err := m.read(path)
			if err != nil {
				errs.Add(refuse("", "%s: %w", m.Root+path, err))
				continue
			}
			for _, err := range cutUp(m.Root+path, string(text)) {
				errs.Add(err)
			}
		case !flat || strings.HasSuffix(name, ".d"):
			m.quadlets(path, false, seen, errs)
		}
	}
}

// cutUp returns an error for each annotation in a unit's text that is cut up.
func cutUp(path, text string) (errs []error) {
	number, begun, value := 0, 0, ""
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if value == "" {
			begun = number
		}
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue // also between continued lines
		}
		if more, ok := strings.CutSuffix(line, "\\"); ok {
			value += more + " "
			continue
		}
		key, list, _ := strings.Cut(value+line, "=")
		value = ""
		if strings.TrimSpace(key) != "Annotation" {
			continue
		}
		words := unitWords(list)
		for i, word := range words {
			rest := words[i+1:]
			if end := slices.IndexFunc(rest, isAnnotation); end >= 0 {
				rest = rest[:end]
			}
			if key, _, _ := strings.Cut(word, "="); spec.IsOurs(key) && len(rest) > 0 {
				errs = append(errs, refuse(fmt.Sprintf("write Annotation=%s", strings.Join(append([]string{word}, rest...), "+")),
					"%s:%d: the value of %s has a blank outside of quotes, where podman cuts it: %q is lost", path, begun, key, rest[0]))
			}
		}
	}
	return errs
}

// isAnnotation tells KEY=VALUE from an item of a list, such as db#KEY=NAME.
func isAnnotation(word string) bool {
	key, _, ok := strings.Cut(word, "=")
	return ok && !strings.ContainsAny(key, "#:?+,")
}

// unitWords splits as systemd does: at blanks outside of quotes (systemd.syntax(7)).
func unitWords(s string) (words []string) {
	var word strings.Builder
	var quote rune
	var begun, escaped bool
	for _, r := range s {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\':
			escaped, begun = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, begun = r, true
		case quote == 0 && (r == ' ' || r == '\t'):
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if begun {
		words = append(words, word.String())
	}
	return words
}
