// SPDX-License-Identifier: Apache-2.0

// Package man holds the manual pages to what the binary says of itself: no
// command, flag, exit code, key or annotation that it knows is missing.
package man

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/oci-secrets/oci-secrets/spec"
	"github.com/oci-secrets/oci-secrets/test/rig"
)

func TestMain(m *testing.M) {
	code := m.Run()
	rig.Cleanup()
	os.Exit(code)
}

// page is the source of a manual page.
func page(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name + ".md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// section is what stands below a heading, up to the next one; "" where there is
// no such heading.
func section(page, heading string) string {
	_, rest, _ := strings.Cut(page, "\n"+heading+"\n")
	text, _, _ := strings.Cut(rest, "\n#")
	return text
}

var (
	command = regexp.MustCompile(`(?m)^   ([a-z][a-z-]*)(?:, [a-z]+)*  `)
	flagged = regexp.MustCompile(`(?m)^   (--[a-z-]+)(?:[ ,=]|$)`)
	written = regexp.MustCompile(`(?m)^\*\*(--[a-z-]+)\*\*`)
)

// helped is what the help of a command lists: its commands, and the flags of
// all of them together.
func helped(t *testing.T, args ...string) (commands, flags []string) {
	t.Helper()
	help := rig.MustRun(t, append(append([]string{rig.Binary(t)}, args...), "--help")...).Stdout
	_, rest, _ := strings.Cut(help, "\nCOMMANDS:\n")
	list, _, _ := strings.Cut(rest, "\n\n")
	for _, m := range command.FindAllStringSubmatch(list, -1) {
		commands = append(commands, m[1])
		if len(args) > 0 {
			_, more := helped(t, append(slices.Clone(args), m[1])...)
			flags = append(flags, more...)
		}
	}
	_, options, _ := strings.Cut(help, "OPTIONS:\n")
	for _, m := range flagged.FindAllStringSubmatch(options, -1) {
		if m[1] != "--help" {
			flags = append(flags, m[1])
		}
	}
	return commands, flags
}

func TestCommands(t *testing.T) {
	text := page(t, "oci-secrets.1")
	commands, global := helped(t)
	if len(commands) < 5 {
		t.Fatalf("the help lists %q", commands)
	}
	for _, f := range global {
		if !strings.Contains(section(text, "# GLOBAL OPTIONS"), "**"+f+"**") {
			t.Errorf("the page lacks the global option %s", f)
		}
	}
	for _, c := range commands {
		below := section(text, "### "+c)
		if !strings.Contains(below, "**oci-secrets "+c) {
			t.Errorf("the page lacks the command %s", c)
			continue
		}
		engines, flags := helped(t, c)
		for _, f := range flags {
			if !strings.Contains(below, "**"+f+"**") {
				t.Errorf("%s: the page lacks %s", c, f)
			}
		}
		for _, e := range engines {
			if !strings.Contains(below+section(text, "### install"), "**"+e+"**") {
				t.Errorf("%s: the page lacks %s", c, e)
			}
		}
		for _, m := range written.FindAllStringSubmatch(below, -1) {
			if !slices.Contains(flags, m[1]) {
				t.Errorf("%s: the page has %s, which the command has not", c, m[1])
			}
		}
	}
}

// TestExitCodes has the codes of the binary's help, which are those of package
// fault.
func TestExitCodes(t *testing.T) {
	help := rig.MustRun(t, rig.Binary(t), "--help").Stdout
	_, list, _ := strings.Cut(help, "Exit codes:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	codes := regexp.MustCompile(`(?m)^ +(\d+)  `).FindAllStringSubmatch(list, -1)
	if len(codes) < 9 {
		t.Fatalf("the help has %q", codes)
	}
	status := section(page(t, "oci-secrets.1"), "# EXIT STATUS")
	for _, c := range codes {
		if !strings.Contains(status, "\n**"+c[1]+"**\n: ") {
			t.Errorf("the page lacks %s", c[1])
		}
	}
}

// keys are the settings that the binary knows: it lists them where one is not.
func keys(t *testing.T) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.toml")
	rig.WriteFile(t, file, "unlike-any = 1\n", 0o600)
	r := rig.Run(t, rig.Binary(t), "explain", "--config", file, "--offline", "--annotation", "secrets.oci/from=x")
	_, list, ok := strings.Cut(r.Stderr, "hint: the keys are ")
	if !ok {
		t.Fatalf("no list of keys: %s", r.Stderr)
	}
	return strings.Split(strings.TrimSpace(list), ", ")
}

func TestSettings(t *testing.T) {
	text := page(t, "oci-secrets-config.toml.5")
	for _, key := range keys(t) {
		below := section(text, "# KEYS")
		if dot := strings.LastIndex(key, "."); dot >= 0 {
			below, key = section(text, `### \[`+key[:dot]+"]"), key[dot+1:]
		}
		if !regexp.MustCompile(`(?m)(^|, )\*\*` + regexp.QuoteMeta(key) + `\*\*( = |, |$)`).MatchString(below) {
			t.Errorf("the page lacks %s in %.40q", key, below)
		}
	}
	for _, env := range []string{"OCI_SECRETS_CONFIG", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"} {
		if !strings.Contains(text, env) || !strings.Contains(page(t, "oci-secrets.1"), env) {
			t.Errorf("the pages lack %s", env)
		}
	}
}

// TestExample reads the example as it is, and with everything in it switched on.
func TestExample(t *testing.T) {
	b, err := os.ReadFile("../../install/example/config.toml")
	if err != nil {
		t.Fatal(err)
	}
	on := regexp.MustCompile(`(?m)^#(\[|[a-z_]+ = )`).ReplaceAllString(string(b), "$1")
	for name, text := range map[string]string{"as it is": string(b), "all of it": on} {
		file := filepath.Join(t.TempDir(), "config.toml")
		rig.WriteFile(t, file, text, 0o600)
		r := rig.Run(t, rig.Binary(t), "explain", "--config", file, "--offline", "--annotation", "secrets.oci/from=x")
		// The example has the keys of all methods to log in, and one is used.
		if r.Code != 0 && !strings.Contains(r.Stderr, "auth method approle does not use role") {
			t.Errorf("%s: %s", name, r.Stderr)
		}
	}
	table := ""
	have := map[string]bool{}
	for line := range strings.Lines(on) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "["); ok {
			table, _, _ = strings.Cut(name, "]")
			table += "."
		}
		if key, _, ok := strings.Cut(line, " = "); ok && line[0] != '#' {
			have[table+key] = true
		}
	}
	for _, key := range keys(t) {
		if !have[key] {
			t.Errorf("the example lacks %s", key)
		}
	}
}

func TestAnnotations(t *testing.T) {
	text := page(t, "oci-secrets-annotations.7")
	for _, want := range append(spec.Schemes(), "**secrets.oci/from**", "**secrets.oci/from.**", "**secrets.oci/dict**",
		"io.kubernetes.cri.container-name", "io.kubernetes.container.name", "1,000 items", "256 KiB", "131071") {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	contract, err := os.ReadFile("../../spec/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(contract), "```reserved\n")
	list, _, _ = strings.Cut(list, "```")
	names := strings.Fields(list)
	if len(names) < 50 {
		t.Fatalf("the contract refuses %q", names)
	}
	have := strings.Fields(section(text, "# VARIABLES"))
	for _, name := range names {
		if !slices.Contains(have, name) {
			t.Errorf("the page lacks %s", name)
		}
	}
}

// TestForm has what whatis(1) and apropos(1) need, and no line that groff would
// complain of.
func TestForm(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	if err != nil || len(pages) != 4 {
		t.Fatalf("%q, %v", pages, err)
	}
	for _, file := range pages {
		name := strings.TrimSuffix(file, ".md")
		title, number := strings.TrimSuffix(name, filepath.Ext(name)), filepath.Ext(name)[1:]
		text := page(t, name)
		for _, want := range []string{"% " + title + " " + number + "\n\n# NAME\n" + title + " - ", "\n# DESCRIPTION\n", "\n# SEE ALSO\n"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q", file, want)
			}
		}
		for _, other := range pages {
			other = strings.TrimSuffix(other, ".md")
			ref := "**" + strings.TrimSuffix(other, filepath.Ext(other)) + "**(" + filepath.Ext(other)[1:] + ")"
			if other != name && !strings.Contains(section(text, "# SEE ALSO"), ref) {
				t.Errorf("%s does not refer to %s", file, ref)
			}
		}
	}
}
