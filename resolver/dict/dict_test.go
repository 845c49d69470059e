// SPDX-License-Identifier: Apache-2.0

package dict

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

var _ resolver.Source = (*Source)(nil)

// directory makes files of mode 0600 in a new directory, whose path it gives.
func directory(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "secrets")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// get gives a secret's entries as "KEY=value".
func get(t *testing.T, s *Source, name string) ([]string, error) {
	t.Helper()
	got, err := s.Get(t.Context(), name, 0)
	if err != nil {
		return nil, err
	}
	if got.Source != "dict" || got.Version != 0 {
		t.Errorf("source %q, version %d", got.Source, got.Version)
	}
	p := []string{}
	for _, e := range got.Entries {
		p = append(p, e.Key+"="+e.Value.Reveal())
	}
	return p, nil
}

// canary stands in every broken file, and may stand in no error.
const canary = "hunter2-canary"

// checkError compares an error with its class and text, in which DIR stands
// for the directory.
func checkError(t *testing.T, err error, class fault.Class, want, dir string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s", want)
	}
	if c, _ := fault.ClassOf(err); c != class {
		t.Errorf("class %v, want %v", c, class)
	}
	if got := strings.ReplaceAll(err.Error(), dir, "DIR"); got != want {
		t.Errorf("error\n got %s\nwant %s", got, want)
	}
	all := fmt.Sprintf("%v %+v %#v %q", err, err, err, fault.Hints(err))
	for _, phrase := range []string{canary, "permission denied", "operation not permitted", "no such file or directory"} {
		if strings.Contains(all, phrase) {
			t.Errorf("error %s has %q", all, phrase)
		}
	}
}

func TestFormats(t *testing.T) {
	const (
		tomlText = "TOKEN = 't'\n[db]\nUSER = \"u\"\nPASSWORD = '''p\nq'''\n[\"team/api\"]\nA = 'é'\n[empty]\n"
		yamlText = "TOKEN: t\ndb:\n  USER: u\n  PASSWORD: |-\n    p\n    q\n  DROPPED: null\n  DROPPED2:\n  DROPPED3: ~\nteam/api: {A: \"é\"}\nempty: {}\nnothing:\n"
		jsonText = "{\"TOKEN\": \"t\",\n \"db\": {\"USER\": \"u\", \"PASSWORD\": \"p\\nq\", \"DROPPED\": null},\n \"team/api\": {\"A\": \"é\"},\n \"empty\": {}, \"nothing\": null}\n"
	)
	for file, text := range map[string]string{
		"s.toml": tomlText,
		"s.yaml": yamlText,
		"s.yml":  "---\n" + yamlText + "...\n",
		"s.json": jsonText,
	} {
		t.Run(file, func(t *testing.T) {
			dir := directory(t, map[string]string{file: text})
			for _, path := range []string{dir, dir + "/" + file} {
				s := New(path)
				for name, want := range map[string][]string{
					"TOKEN":    {"TOKEN=t"},
					"db":       {"PASSWORD=p\nq", "USER=u"},
					"team/api": {"A=é"},
					"empty":    {},
				} {
					got, err := get(t, s, name)
					if err != nil {
						t.Fatal(err)
					}
					if d := cmp.Diff(want, got); d != "" {
						t.Errorf("%s: %s", name, d)
					}
				}
				where := "DIR (" + file + ")"
				if path != dir {
					where = "DIR/" + file
				}
				for _, name := range []string{"nothing", "other", "", "USER"} {
					_, err := get(t, s, name)
					checkError(t, err, fault.Missing, fmt.Sprintf("no secret %q in %s", name, where), dir)
				}
			}
		})
	}
}

func TestContents(t *testing.T) {
	for _, c := range []struct {
		name, file, text string
		want             []string // of the secret db
	}{
		{"toml: dotted key", "f.toml", "db.A = 'a'\ndb.B = 'b'", []string{"A=a", "B=b"}},
		{"toml: inline table", "f.toml", "db = {A = 'a'}", []string{"A=a"}},
		{"toml: byte order mark", "f.toml", "\ufeffdb = 'x'", []string{"db=x"}},
		{"yaml: tagged as a string", "f.yaml", "db: {PORT: !!str 5432, ON: !!str true}", []string{"ON=true", "PORT=5432"}},
		{"yaml: quoted names", "f.yaml", "db: {PORT: '5432', ON: \"true\", DAY: '2026-01-02', 'NULL': 'null'}", []string{"DAY=2026-01-02", "NULL=null", "ON=true", "PORT=5432"}},
		{"yaml: words that YAML 1.2 leaves alone", "f.yaml", "db: {A: yes, B: off, C: 1.2.3}", []string{"A=yes", "B=off", "C=1.2.3"}},
		{"yaml: string at the top", "f.yaml", "db: x", []string{"db=x"}},
		{"json: escapes", "f.json", `{"db": {"A": "\u0041\n\"\\"}}`, []string{"A=A\n\"\\"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := directory(t, map[string]string{c.file: c.text})
			got, err := get(t, New(dir), "db")
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestEmptyFiles(t *testing.T) {
	for file, text := range map[string]string{"f.toml": "", "f.yaml": "", "g.yaml": "# note\n", "h.yaml": "---\n", "f.json": "{}"} {
		t.Run(file+" "+text, func(t *testing.T) {
			dir := directory(t, map[string]string{file: text})
			_, err := get(t, New(dir), "db")
			checkError(t, err, fault.Missing, `no secret "db" in DIR (`+file+")", dir)
		})
	}
}

func TestDirectory(t *testing.T) {
	t.Run("several files", func(t *testing.T) {
		dir := directory(t, map[string]string{
			"a.toml": "[a]\nK='1'", "b.yaml": "b: {K: '2'}", "c.yml": "c: {K: '3'}", "d.json": `{"d": {"K": "4"}}`,
			".hidden.toml": "broken", "a.toml~": "broken", "README.md": "broken", "toml": "broken",
		})
		if err := os.Mkdir(dir+"/sub", 0o755); err != nil {
			t.Fatal(err)
		}
		s := New(dir)
		for i, name := range []string{"a", "b", "c", "d"} {
			got, err := get(t, s, name)
			if d := cmp.Diff([]string{fmt.Sprintf("K=%d", i+1)}, got); d != "" || err != nil {
				t.Error(err, d)
			}
		}
		_, err := get(t, s, "e")
		checkError(t, err, fault.Missing, `no secret "e" in DIR (a.toml, b.yaml, c.yml, d.json)`, dir)
	})
	t.Run("many files", func(t *testing.T) {
		files := map[string]string{}
		for i := range 9 {
			files[fmt.Sprintf("%d.toml", i)] = ""
		}
		dir := directory(t, files)
		_, err := get(t, New(dir), "e")
		checkError(t, err, fault.Missing, `no secret "e" in any of the 9 files of DIR`, dir)
	})
	t.Run("no files", func(t *testing.T) {
		dir := directory(t, map[string]string{"x.env": ""})
		_, err := get(t, New(dir), "e")
		checkError(t, err, fault.Missing, `no secret "e" in DIR, which has no .toml, .yaml, .yml or .json file`, dir)
	})
	t.Run("same secret in two files", func(t *testing.T) {
		dir := directory(t, map[string]string{"a.toml": "[db]\nK='" + canary + "'", "b.yaml": "x: y\ndb: {L: '" + canary + "'}"})
		const twice = `DIR/b.yaml:2: secret "db" is in DIR/a.toml as well`
		_, err := get(t, New(dir), "db")
		checkError(t, err, fault.Refused, twice, dir)
		ctx, notes := recorded(t)
		if _, err := New(dir).Get(ctx, "x", 0); err != nil {
			t.Error(err)
		}
		if d := cmp.Diff([]string{"dict: " + twice}, notes(dir)); d != "" {
			t.Error(d)
		}
	})
	t.Run("link to nowhere", func(t *testing.T) {
		dir := directory(t, nil)
		if err := os.Symlink("none", dir+"/a.toml"); err != nil {
			t.Fatal(err)
		}
		_, err := get(t, New(dir), "x")
		checkError(t, err, fault.Refused, `DIR/a.toml does not exist, though its directory lists it`, dir)
	})
	t.Run("link that leads out", func(t *testing.T) {
		dir := directory(t, map[string]string{"../out.toml": ""})
		if err := os.Symlink("../out.toml", dir+"/a.toml"); err != nil {
			t.Fatal(err)
		}
		_, err := get(t, New(dir), "x")
		checkError(t, err, fault.Refused, `DIR/a.toml is a symbolic link that leads out of its directory`, dir)
	})
}

func TestPath(t *testing.T) {
	const modeText = " has mode 0644, so others can read it; it must have 0640 or 0600"
	dir := directory(t, map[string]string{"f.toml": "A='" + canary + "'", "f.txt": canary, "open.json": "{}"})
	if err := os.Chmod(dir+"/open.json", 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path string
		version    int
		class      fault.Class
		want       string
	}{
		{"absent", dir + "/none", 0, fault.Missing, "DIR/none does not exist"},
		{"absent parent", dir + "/none/f.toml", 0, fault.Missing, "DIR/none/f.toml does not exist"},
		{"version", dir + "/f.toml", 2, fault.Missing, "dict has no versions, so none is 2"},
		{"unknown format", dir + "/f.txt", 0, fault.Settings, "the format of DIR/f.txt is not known by its name"},
		{"mode of the file", dir + "/open.json", 0, fault.Refused, "DIR/open.json" + modeText},
		{"mode of a file in the directory", dir, 0, fault.Refused, "DIR/open.json" + modeText},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := New(c.path).Get(t.Context(), "B", c.version)
			checkError(t, err, c.class, c.want, dir)
		})
	}
	t.Run("mode of a neighbour", func(t *testing.T) {
		ctx, notes := recorded(t)
		if _, err := New(dir).Get(ctx, "A", 0); err != nil {
			t.Error(err)
		}
		if d := cmp.Diff([]string{"dict: DIR/open.json" + modeText}, notes(dir)); d != "" {
			t.Error(d)
		}
	})
	t.Run("many neighbours", func(t *testing.T) {
		files := map[string]string{"a.toml": "A='" + canary + "'"}
		for i := range 2 * few {
			files[fmt.Sprintf("b%02d.json", i)] = "{"
		}
		dir := directory(t, files)
		ctx, notes := recorded(t)
		if _, err := New(dir).Get(ctx, "A", 0); err != nil {
			t.Error(err)
		}
		if got := notes(dir); len(got) != few+1 || got[few] != "dict: and 8 more things are wrong" {
			t.Errorf("notes %q", got)
		}
		_, err := New(dir).Get(t.Context(), "B", 0)
		if err == nil || strings.Count(err.Error(), "not valid JSON") != few || !strings.HasSuffix(err.Error(), "; and 8 more files cannot be read") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("mode of the directory", func(t *testing.T) {
		dir := directory(t, map[string]string{"f.toml": ""})
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{dir, dir + "/f.toml"} {
			_, err := get(t, New(path), "A")
			checkError(t, err, fault.Refused, "DIR has mode 0777, so its group can write it and others can write it; it must have 0755 or stricter", dir)
		}
	})
}

func TestReadsOnce(t *testing.T) {
	dir := directory(t, map[string]string{"f.toml": "[db]\nB='2'\nA='1'"})
	s := New(dir)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			got, err := s.Get(t.Context(), "db", 0)
			if err != nil {
				t.Error(err)
				return
			}
			got.Entries[0] = resolver.Entry{} // is the caller's own
		})
	}
	wg.Wait()
	if err := os.Remove(dir + "/f.toml"); err != nil {
		t.Fatal(err)
	}
	got, err := get(t, s, "db")
	if d := cmp.Diff([]string{"A=1", "B=2"}, got); d != "" || err != nil {
		t.Error(err, d)
	}
}
