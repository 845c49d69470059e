// SPDX-License-Identifier: Apache-2.0

package dotenv

import (
	"bufio"
	"encoding/json"
	"flag"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "seed of the generated .env files; 0 for one from the clock")
	filesFlag = flag.Int("files", 5000, "how many .env files to generate")
)

// tokens are what generated files are made of: what means something in the
// dialect, and what only looks like it.
var tokens = []string{
	"A", "B", "C", "key", "1", "x", "value", "é", "日本",
	"=", "=", "=", "=", "=", " ", " ", " = ", "\t", "\n", "\n", "\n", "\n", "\r\n", "\r\n", "\r", "\n\n",
	"'", "'", "'", "\"", "\"", "\"", "\\", "\\'", "\\\"", "\\\\", "\\n", "\\t", "\\q", "\\a\\b\\f\\r\\v", "\\u0041", "\\x41", "\\N{DIGIT ONE}",
	"#", "#", " #", " # note", "#=", "export ", "export", "export\t", "\nexport ", "EXPORT ",
	"${A}", "${B}", "${C}", "${A:-x}", "${none:-d e}", "${none}", "${", "}", "$", "$A", "{A}", ":", ":-", "${A:-", "${A:-${B}}", "${}", "${A:+x}", "${A-x}", "\\${A}", "${key", "${a b}",
	"\u00a0", "\u0085", "\f", "\v", "\u2028", "\u2029", "\u1680", "\u3000", "\u200b", "\x1c", "\x1d", "\x1e", "\x1f", "\ufeff", "\x00", "\u180e",
	"A=", "\nA=", "\nB=", "\nC='", "\nB=\"", "'\n", "\"\n", "\"\r\n", "' #", "\nA='${B}'\n", "\n'A'=", "\n'q k'=", "\n''=", "\n=", "\n# note\n",
}

// whole are statements that are right, so that strict reading is tried too.
var whole = []string{
	"A=1\n", "B = two words \r\n", "export C='it\\'s ${A}'\n", "A=\"${A}\\n${B:-none}\"\n", "# note\n", "\n", "key\n", "B=#x # y\r", "'q_k'=\"a\r\nb\" # c\n", "C=\\${A}'\n", "A=$A${B}${C}\n", "D=a#b\u00a0#c\n",
}

func generate(r *rand.Rand) string {
	var b strings.Builder
	if r.IntN(20) == 0 {
		b.WriteString("\ufeff")
	}
	tidy := r.IntN(3) // 0: all of whole statements, 1: half, 2: none
	for range r.IntN(40) {
		if tidy == 0 || tidy == 1 && r.IntN(2) == 0 {
			b.WriteString(whole[r.IntN(len(whole))])
		} else {
			b.WriteString(tokens[r.IntN(len(tokens))])
		}
	}
	return b.String()
}

// python is an interpreter that has Debian's python3-dotenv. The one on PATH
// may be another than Debian's.
func python(t *testing.T) string {
	for _, p := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(p, "-c", "import dotenv").Run() == nil {
			return p
		}
	}
	const missing = "python-dotenv is not there: apt-get install python3-dotenv"
	if os.Getenv("CI") == "true" || os.Getenv("OCI_SECRETS_TEST_REQUIRE") == "1" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// reading is what the reference makes of one file.
type reading struct {
	Pairs    []string `json:"pairs"`
	Warnings int      `json:"warnings"` // statements that it skipped
	Refused  int      `json:"refused"`  // ones that our key rule makes it skip as well
}

// TestReference compares with python-dotenv itself, which must besides skip the
// keys that are no variable names: the one rule that the dialect adds to it. To repeat a run, give its
// seed: go test -run TestReference -seed N.
func TestReference(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	files := make([]string, *filesFlag)
	for i := range files {
		files[i] = generate(r)
	}

	cmd := exec.Command(python(t), "testdata/reference.py")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer in.Close()
		w := bufio.NewWriter(in)
		defer w.Flush()
		enc := json.NewEncoder(w)
		for _, f := range files {
			if enc.Encode([]byte(f)) != nil { // as base64
				return // the reader below says what is missing
			}
		}
	}()

	clean, failed := 0, 0
	dec := json.NewDecoder(out)
	for i, file := range files {
		var want reading
		if err := dec.Decode(&want); err != nil {
			t.Fatalf("seed %d: the reference stopped at file %d: %v", seed, i, err)
		}
		lenient, err := Parse(file, true)
		if err != nil {
			t.Fatalf("seed %d, file %d %q: lenient: %v", seed, i, file, err)
		}
		got := append([]string{}, pairs(lenient)...)
		if d := cmp.Diff(want.Pairs, got); d != "" {
			t.Errorf("seed %d, file %d %q: -reference +lenient\n%s", seed, i, file, d)
			failed++
		}
		strict, err := Parse(file, false)
		if (err != nil) != (want.Warnings+want.Refused > 0) {
			t.Errorf("seed %d, file %d %q: strict: error %v, the reference has %d warnings and %d keys that are none", seed, i, file, err, want.Warnings, want.Refused)
			failed++
		}
		if err == nil {
			clean++
			if d := cmp.Diff(want.Pairs, append([]string{}, pairs(strict)...)); d != "" {
				t.Errorf("seed %d, file %d %q: -reference +strict\n%s", seed, i, file, d)
				failed++
			}
		}
		if failed >= 5 {
			t.Fatal("and so on")
		}
	}
	if _, err := io.Copy(io.Discard, out); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	t.Logf("%d files, %d of them without an error", len(files), clean)
	if *filesFlag >= 1000 && (clean < len(files)/5 || clean > len(files)*4/5) {
		t.Errorf("the generator is lopsided: %d of %d files have no error", clean, len(files))
	}
}
