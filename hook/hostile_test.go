// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/resolver/lease"
	"github.com/oci-secrets/oci-secrets/test/rig"
)

// hostile orders a terminal about, in two ways, turns text around, hides some of
// it, and begins lines as a log, a metrics file and a shell have them.
const hostile = "a\x1b]0;x\x07\u009b2J\u202e\u2066\u200b\x7f\u2028\r\n<24>sshd[1]: x\n# TYPE x counter\nx{y=\"z\"} 1\n$(id)`id`"

// TestHostileText has somebody else's text wherever we take any, and looks at all
// that comes out.
func TestHostileText(t *testing.T) {
	binary, shim, oddShim := rig.Binary(t), rig.Link(t, "oci-secrets-runtime-true"), rig.Link(t, "oci-secrets-runtime-x\u009b2J")
	dir := t.TempDir()
	t.Chdir(dir)
	quoted := func(s string) string {
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	unescaped := strings.Replace(quoted(hostile), `\u2028`, "\u2028", 1) // as other encoders leave it
	settings := filepath.Join(dir, "config.toml")
	rig.WriteFile(t, settings, "deadline = \"1s\"\nchain = [\"dict\"]\nstate_dir = \"state\"\n[log]\nfile = \"log\"\nmetrics = \"metrics\"\n[dict]\npath = \"secrets.json\"\n", 0o600)
	rig.WriteFile(t, "secrets.json", `{`+unescaped+`: {"A": "x"}, "bad": {`+unescaped+`: "x"}, "good": {"A": "x"}}`, 0o600)
	files := filepath.Join(dir, "files.toml") // the settings of a directory with a file that is open to all
	rig.WriteFile(t, files, "[dict]\npath = \"files\"\n", 0o600)
	if err := os.Mkdir("files", 0o700); err != nil {
		t.Fatal(err)
	}
	rig.WriteFile(t, "files/good.toml", "[good]\nA = \"x\"\n", 0o600)
	rig.WriteFile(t, "files/"+hostile+".toml", "[other]\nA = \"x\"\n", 0o644)
	bundle := func(annotations string) string {
		path := t.TempDir()
		rig.WriteFile(t, path+"/config.json", `{"annotations": `+annotations+`, "process": {"env": [`+unescaped+`]}}`, 0o600)
		return path
	}
	state := func(annotations string) string {
		return `{"id": ` + unescaped + `, "pid": 1, "status": "creating", "bundle": ` + unescaped + `, "annotations": ` + annotations + `}`
	}
	if err := lease.Put(filepath.Join(dir, "state"), lease.Record{Container: hostile, Path: hostile, ID: hostile}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(filepath.Join(dir, "state"), unix.MNT_DETACH) }) // root's is mounted
	lists := map[string]string{
		"a wrong list":           `{"secrets.oci/from": ` + unescaped + `}`,
		"a wrong key":            `{` + strings.Replace(unescaped, `"`, `"secrets.oci/`, 1) + `: "db"}`,
		"a wrong dict":           `{"secrets.oci/dict": ` + unescaped + `}`,
		"a wrong name in a dict": `{"secrets.oci/dict": ` + quoted(`{`+quoted(hostile)+`: "x"}`) + `}`,
		"another program":        `{"secrets.oci/from": "good", "run.oci.handler": ` + unescaped + `}`,
		"a container of a pod":   `{"secrets.oci/from.x": "good", "io.kubernetes.container.name": ` + unescaped + `, "io.kubernetes.cri.container-name": "x"}`,
		"a secret's bad key":     `{"secrets.oci/from": "bad"}`,
		"a secret that is not":   `{"secrets.oci/from": "absent"}`,
		"what is there":          `{"secrets.oci/from": "good"}`,
	}
	type call struct {
		name, stdin string
		argv        []string
	}
	calls := []call{
		{"leases", "", []string{binary, "leases", "--config", settings}},
		{"leases, JSON", "", []string{binary, "leases", "--json", "--config", settings}},
		{"a command", "", []string{binary, hostile}},
		{"a flag", "", []string{binary, "explain", "--" + hostile}},
		{"a path", "", []string{binary, "explain", "--bundle", hostile}},
		{"settings", "", []string{binary, "leases", "--config", hostile}},
		{"a hook's argument", "", []string{binary, "hook", hostile}},
		{"an engine", "", []string{binary, "hook-config", "--path", "/" + hostile, "podman"}},
		{"the plugin", "", []string{binary, "nri", "--name", hostile}},
		{"a file's name in a note", "", []string{binary, "explain", "--config", files, "--annotation", "secrets.oci/from=good"}},
		{"a runtime", "", []string{oddShim, "create", hostile}},
	}
	for name, list := range lists {
		b := bundle(list)
		calls = append(calls,
			call{name + ", explain", "", []string{binary, "explain", "--config", settings, "--bundle", b}},
			call{name + ", explain, JSON", "", []string{binary, "explain", "--json", "--config", settings, "--bundle", b}},
			call{name + ", hook", state(list), []string{binary, "hook", "--config", settings}},
			call{name + ", precreate", `{"annotations": ` + list + `}`, []string{binary, "precreate", "--config", settings}}, // without a process
			call{name + ", shim", "", []string{shim, "--log", "shim.log", "create", "--bundle", b, hostile}},
			call{name + ", shim, JSON", "", []string{shim, "--log", "shim.json", "--log-format", "json", "create", "--bundle", b, hostile}},
			call{name + ", bundle", "", []string{binary, "install", "bundle", "--dry-run", "--path", binary, b}},
		)
	}
	for _, c := range calls {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), c.argv[0], c.argv[1:]...)
			cmd.Stdin = strings.NewReader(c.stdin)
			cmd.Env = append(os.Environ(), "OCI_SECRETS_CONFIG="+settings, "XDG_RUNTIME_DIR="+dir)
			out, err := cmd.CombinedOutput()
			if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			fit(t, "the output", out)
		})
	}
	for _, file := range []string{"log", "metrics", "shim.log", "shim.json"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fit(t, file, b)
		for line := range bytes.Lines(b) {
			if (file == "log" || file == "shim.json") && !json.Valid(line) {
				t.Errorf("%s has the line %q", file, line)
			}
		}
		if file == "metrics" && bytes.Contains(b, []byte(" x ")) {
			t.Errorf("the metrics have %q", b)
		}
	}
}

// fit fails unless text is printable and no line of it is somebody else's.
func fit(t *testing.T, what string, text []byte) {
	t.Helper()
	for _, r := range string(text) {
		if r != '\n' && r != '\t' && !strconv.IsPrint(r) {
			t.Errorf("%s has %U: %q", what, r, text)
			break
		}
	}
	for line := range bytes.Lines(text) {
		for _, begin := range []string{"<24>", "# TYPE x", "x{", "$("} {
			if bytes.HasPrefix(line, []byte(begin)) {
				t.Errorf("%s has the line %q", what, line)
			}
		}
	}
}
