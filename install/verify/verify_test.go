// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/hook/report"
)

// fake is an engine whose every answer is a shell script. $SECRET is the name of
// the secret that is asked for, $VALUE its value, and $DIGEST that of the value.
type fake struct{ run, exec, annotations, inspect string }

var working = fake{
	run:         `case $SECRET in *.missing) echo 'oci-secrets: no such secret' >&2; exit 1 ;; esac; echo "$DIGEST"; exec sleep 60`,
	exec:        `echo "$DIGEST"`,
	annotations: `echo "$SECRET"`,
	inspect:     `echo "$SECRET"`,
}

func (f fake) way(s *secret, shim bool, removed *[]string) way {
	sh := func(script, name string) []string {
		return []string{"env", "SECRET=" + name, "VALUE=" + s.value, "DIGEST=" + digest(s.value), "sh", "-c", script}
	}
	return way{
		name: "fake", shim: shim, fix: "mend it",
		run:         func(_, name string, _ ...string) ([]string, error) { return sh(f.run, name), nil },
		exec:        func(string, ...string) []string { return sh(f.exec, s.name) },
		annotations: func(string) []string { return sh(f.annotations, s.name) },
		inspect:     func(string) []string { return sh(f.inspect, s.name) },
		remove: func(name string) [][]string {
			*removed = append(*removed, name)
			return [][]string{{"true"}}
		},
	}
}

func TestBrokenLinks(t *testing.T) {
	for name, tt := range map[string]struct {
		change  func(*fake)
		noShim  bool
		want    string // one letter for each row
		problem string
	}{
		"all is well":       {change: func(*fake) {}, want: "yyyyyy"},
		"no exec":           {change: func(f *fake) { f.exec = "echo -" }, noShim: true, want: "yyyiyy"},
		"the annotation":    {change: func(f *fake) { f.annotations = "echo '{}'" }, want: "nyyyyy", problem: "fake: the annotation does not arrive\nhint: mend it\n"},
		"the hook":          {change: func(f *fake) { f.run = "echo -; exec sleep 60"; f.exec = "echo -" }, want: "ynnnyn", problem: "fake: the hook does not run\nhint: mend it\n"},
		"another value":     {change: func(f *fake) { f.run = strings.Replace(f.run, `"$DIGEST"`, "abc", 1) }, want: "yynyyy", problem: "fake: the first process does not have the secret\nhint: mend it\n"},
		"exec":              {change: func(f *fake) { f.exec = "echo -" }, want: "yyynyy", problem: "fake: exec does not have the secret\nhint: exec = \"off\" in the settings has this effect\n"},
		"exec refused":      {change: func(f *fake) { f.exec = "echo no exec here >&2; exit 1" }, noShim: true, want: "yyynyy", problem: "fake: exec does not have the secret: no exec here\n"},
		"inspect":           {change: func(f *fake) { f.inspect = `echo "x${VALUE}x"` }, want: "yyyyny", problem: "fake: inspect must not show the secret: the value is there\n"},
		"inspect is silent": {change: func(f *fake) { f.inspect = "true" }, want: "yyyyny", problem: "fake: inspect must not show the secret: it showed nothing at all\n"},
		"it starts bare":    {change: func(f *fake) { f.run = `echo "$DIGEST"; exec sleep 60` }, want: "yyyyyn", problem: "fake: a container starts without a secret that is missing: the container ran\nhint: mend it\n"},
		"the hook refuses": {
			change: func(f *fake) { f.run = "printf 'oci-secrets: broken\\nhint: x\\nError: it failed\\n' >&2; exit 1" },
			want:   "nynnny", problem: "fake: the first process does not have the secret: refused: oci-secrets: broken\n",
		},
		"an engine that logs": {
			change: func(f *fake) { f.run = `echo 'time="x" level=fatal msg="no \"space\""' >&2; exit 1` },
			want:   "nnnnny", problem: "fake: the first process does not have the secret: no \"space\"\nhint: mend it\n",
		},
		"the engine refuses": {
			change: func(f *fake) { f.run = "echo no space >&2; exit 1" },
			want:   "nnnnny", problem: "fake: the first process does not have the secret: no space\nhint: mend it\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &secret{name: "oci-secrets-verify.x", value: "hunter2"}
			f := working
			tt.change(&f)
			var removed []string
			w := f.way(s, !tt.noShim, &removed)
			results := [][checks]cell{w.verify(t.Context(), s, "c")}
			got := ""
			for _, c := range results[0] {
				switch {
				case c.ok:
					got += "y"
				case c.info:
					got += "i"
				default:
					got += "n"
				}
			}
			if got != tt.want {
				t.Errorf("rows %s, want %s", got, tt.want)
			}
			e := &engine{ways: []way{w}}
			var told bytes.Buffer
			if err := e.broken(results); err != nil && report.Error(&told, err) != 1 {
				t.Error("the exit code is not 1")
			}
			if got := strings.TrimPrefix(told.String(), "oci-secrets: "); got != tt.problem {
				t.Errorf("problem %q, want %q", got, tt.problem)
			}
			if diff := cmp.Diff([]string{"c-missing", "c"}, removed); diff != "" {
				t.Errorf("removed\n%s", diff)
			}
		})
	}
}

// TestHostileText has an engine say what a terminal and a table would obey.
func TestHostileText(t *testing.T) {
	const hostile, shown = "a\tb\x1b[2J\u202e\n<24>x", `a\u0009b\u001b[2J\u202e\u000a<24>x`
	e := &engine{ways: []way{{name: "fake"}}, notes: []string{hostile}}
	var got strings.Builder
	if err := e.write(&got, [][checks]cell{{first: {text: hostile}}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"  no: " + shown + "\n", "\nnote: " + shown + "\n"} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("%q is not in %q", want, got.String())
		}
	}
}

// TestImage reads the image as an engine does: all that its manifest names is
// there, and by its digest.
func TestImage(t *testing.T) {
	var b bytes.Buffer
	if err := writeImage(&b, "localhost/x:y"); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for r := tar.NewReader(&b); ; {
		h, err := r.Next()
		if err == io.EOF { //nolint:errorlint // as package tar documents it
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	var config struct {
		RootFS struct {
			IDs []string `json:"diff_ids"`
		}
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(files[manifest[0].Config], &config); err != nil {
		t.Fatal(err)
	}
	if got := config.RootFS.IDs[0]; got != "sha256:"+sum(files[manifest[0].Layers[0]]) || manifest[0].RepoTags[0] != "localhost/x:y" {
		t.Errorf("manifest %+v, layer %s", manifest, got)
	}
}

// TestStatic has a program of this machine, and one that needs nothing of it.
func TestStatic(t *testing.T) {
	if err := checkStatic("/bin/sh"); err == nil || !strings.Contains(err.Error(), "is not static") {
		t.Errorf("/bin/sh: error %v", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/main.go", []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", dir+"/main", dir+"/main.go")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := checkStatic(dir + "/main"); err != nil {
		t.Error(err)
	}
}
