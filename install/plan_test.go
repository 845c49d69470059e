// SPDX-License-Identifier: Apache-2.0

package install_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/oci-secrets/oci-secrets/install"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// script is one file of testdata/plan: a machine before and after.
//
//	install ENGINE [default] [nri] [rootless] [file PATH]
//	answer COMMAND => OUTPUT       what an engine says
//
// then the files before/..., after/... (as install leaves them), edited/... (what
// the operator makes of them then) and left/... (as uninstall leaves those),
// notes, and error and hint where install refuses.
type script struct {
	engine   string
	options  install.Options
	rootless bool
	answers  map[string]string
	trees    map[string]map[string]string
	notes    string
	err      string
	hint     string
}

func readScript(t *testing.T, path string) (*script, *txtar.Archive) {
	t.Helper()
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := &script{answers: map[string]string{}, trees: map[string]map[string]string{}}
	s.options.Hook.Path = "/usr/local/bin/oci-secrets"
	for line := range strings.Lines(string(archive.Comment)) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] == "#":
		case words[0] == "answer":
			command, output, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "answer "), " => ")
			s.answers[command] = strings.ReplaceAll(output, `\n`, "\n")
		case words[0] == "install":
			s.engine = words[1]
			s.options.Default = slices.Contains(words, "default")
			s.options.NRI = slices.Contains(words, "nri")
			s.rootless = slices.Contains(words, "rootless")
			if at := slices.Index(words, "file"); at >= 0 {
				s.options.File = words[at+1]
			}
			if s.engine == "bundle" {
				s.options.Bundle = "/bundle"
			}
		default:
			t.Fatalf("%s: %q", path, line)
		}
	}
	for _, f := range archive.Files {
		switch tree, name, ok := strings.Cut(f.Name, "/"); {
		case ok:
			if s.trees[tree] == nil {
				s.trees[tree] = map[string]string{}
			}
			s.trees[tree][name] = string(f.Data)
		case f.Name == "notes":
			s.notes = string(f.Data)
		case f.Name == "error":
			s.err = string(f.Data)
		case f.Name == "hint":
			s.hint = string(f.Data)
		default:
			t.Fatalf("%s: file %q", path, f.Name)
		}
	}
	return s, archive
}

// machine is a tree with a binary in it.
func machine(t *testing.T, files, answers map[string]string, rootless bool) *install.Machine {
	t.Helper()
	m := &install.Machine{Root: t.TempDir()}
	if rootless {
		m.Config, m.State = "/home/user/.config", "/home/user/.local/state"
		mkdir(t, m.Root+"/home/user")
	}
	for _, dir := range []string{"/etc", "/var/lib", "/bundle", "/opt", "/usr/share"} {
		mkdir(t, m.Root+dir)
	}
	write(t, m.Root+"/usr/local/bin/oci-secrets", "#!", 0o755)
	link(t, "oci-secrets", m.Root+"/usr/local/bin/oci-secrets-runtime")
	for name, text := range files {
		write(t, filepath.Join(m.Root, name), text, 0o640)
	}
	if answers != nil {
		m.Run = func(argv ...string) (string, error) {
			out, ok := answers[strings.Join(argv, " ")]
			switch {
			case out == "!":
				return "", errors.New("down")
			case ok:
				return out, nil
			}
			return "", fmt.Errorf("%s: %w", argv[0], exec.ErrNotFound)
		}
	}
	return m
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	mkdir(t, filepath.Dir(path))
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	mkdir(t, filepath.Dir(path))
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

// tree is all that is below a directory: modes, owners, links and contents.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := ""
		switch {
		case info.Mode().IsRegular():
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text = string(b)
		case info.Mode()&fs.ModeSymlink != 0:
			if text, err = os.Readlink(path); err != nil {
				return err
			}
		}
		all[strings.TrimPrefix(path, root)] = info.Mode().String() + " " + text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// files are the files of a tree that a script shows: no directory, and not the
// binary.
func files(t *testing.T, root string) map[string]string {
	t.Helper()
	shown := map[string]string{}
	for path, what := range tree(t, root) {
		if mode, text, _ := strings.Cut(what, " "); mode[0] != 'd' && !strings.HasPrefix(path, "/usr/local/bin/") {
			if mode[0] == 'L' {
				text = "-> " + text
			}
			shown[path[1:]] = withLineEnd(text)
		}
	}
	return shown
}

// withLineEnd is a text as a txtar file can hold it.
func withLineEnd(s string) string {
	if s != "" && !strings.HasSuffix(s, "\n") {
		return s + "\n"
	}
	return s
}

func apply(t *testing.T, p *install.Plan) *install.Plan {
	t.Helper()
	if err := p.Apply(); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPlan installs on each machine of testdata/plan, once and again, and takes
// it back.
func TestPlan(t *testing.T) {
	scripts, err := filepath.Glob("testdata/plan/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatal(err)
	}
	for _, path := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			s, archive := readScript(t, path)
			m := machine(t, s.trees["before"], s.answers, s.rootless)
			before := tree(t, m.Root)

			p, err := m.Install(s.engine, s.options)
			if s.err != "" {
				if err == nil || strings.ReplaceAll(err.Error(), m.Root, "")+"\n" != s.err {
					t.Errorf("error %v, want %s", err, s.err)
				}
				if hint := strings.Join(fault.Hints(err), "\n"); s.hint != "" && strings.ReplaceAll(hint, m.Root, "")+"\n" != s.hint {
					t.Errorf("hint %q, want %s", hint, s.hint)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, tree(t, m.Root)); diff != "" {
				t.Fatalf("the plan alone has changed something:\n%s", diff)
			}
			apply(t, p)
			if got := strings.Join(p.Notes, "\n"); withLineEnd(got) != s.notes {
				t.Errorf("notes %q, want %q", got, s.notes)
			}
			after := files(t, m.Root)
			if *update {
				rewrite(t, path, archive, after)
			} else if diff := cmp.Diff(s.trees["after"], after); diff != "" {
				t.Errorf("after (-want +got)\n%s", diff)
			}

			if p = apply(t, must(m.Install(s.engine, s.options))); len(p.Changes) > 0 {
				t.Errorf("the second run changes %q", p.Changes[0].Path)
			}
			s.options.Default = false // what was asked for once stays
			if p = apply(t, must(m.Install(s.engine, s.options))); len(p.Changes) > 0 {
				t.Errorf("without --set-default it changes %q", p.Changes[0].Path)
			}

			for name, text := range s.trees["edited"] {
				write(t, filepath.Join(m.Root, name), text, 0o640)
			}
			apply(t, must(m.Uninstall(s.engine, s.options)))
			if s.trees["edited"] == nil {
				if diff := cmp.Diff(before, tree(t, m.Root)); diff != "" {
					t.Errorf("uninstall leaves (-want +got)\n%s", diff)
				}
			} else if diff := cmp.Diff(s.trees["left"], files(t, m.Root)); diff != "" {
				t.Errorf("uninstall leaves (-want +got)\n%s", diff)
			}
			if p = apply(t, must(m.Uninstall(s.engine, s.options))); len(p.Changes) > 0 {
				t.Errorf("the second uninstall changes %q", p.Changes[0].Path)
			}
		})
	}
}

// must is for a plan that is made.
func must(p *install.Plan, err error) *install.Plan {
	if err != nil {
		panic(err)
	}
	return p
}

// rewrite puts what install did into a script.
func rewrite(t *testing.T, path string, archive *txtar.Archive, after map[string]string) {
	t.Helper()
	archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return strings.HasPrefix(f.Name, "after/") })
	at := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return !strings.HasPrefix(f.Name, "before/") })
	if at < 0 {
		at = len(archive.Files)
	}
	var names []string
	for name := range after {
		names = append(names, name)
	}
	slices.Sort(names)
	var fresh []txtar.File
	for _, name := range names {
		fresh = append(fresh, txtar.File{Name: "after/" + name, Data: []byte(after[name])})
	}
	archive.Files = slices.Insert(archive.Files, at, fresh...)
	if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
}
