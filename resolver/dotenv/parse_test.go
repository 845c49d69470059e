// SPDX-License-Identifier: Apache-2.0

package dotenv

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/spec"
)

func TestParse(t *testing.T) {
	t.Setenv("HOST", "leaked")
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", nil},
		{"byte order mark", "\ufeffA=1", []string{"A=1"}},
		{"LF", "A=1\nB=2\n", []string{"A=1", "B=2"}},
		{"CRLF", "A=1\r\nB=2\r\n", []string{"A=1", "B=2"}},
		{"CR", "A=1\rB=2\r", []string{"A=1", "B=2"}},
		{"CRLF in quotes", "A='1\r\n2'", []string{"A=1\n2"}},
		{"other separators end no line", "A=1\u2028B=2\vC=3", []string{"A=1\u2028B=2\vC=3"}},
		{"export", "export A=1\nexport\tB=2", []string{"A=1", "B=2"}},
		{"export as key", "export=1", []string{"export=1"}},
		{"export as bare key", "export\nA=1", []string{"export=", "A=1"}},
		{"exported comment", "export # A=1", nil},
		{"prefix of a key", "exports=1", []string{"exports=1"}},
		{"blanks around =", "A = 1\n\tB\t=\t2", []string{"A=1", "B=2"}},
		{"no-break space around =", "A\u00a0=\u00a01", []string{"A=1"}},
		{"information separator is white space", "\x1cA\x1f=\x1d1\x1e", []string{"A=1"}},
		{"comment line", "# A=1\n  # B=2\nC=3", []string{"C=3"}},
		{"bare key", "A\nB", []string{"A=", "B="}},
		{"bare key with comment", "A # b\nC#d", []string{"A=", "C="}},
		{"quoted key", "'A'=1\nexport 'B_2' = 2", []string{"A=1", "B_2=2"}},
		{"unquoted to the end of line", "A=b c ' \" d", []string{`A=b c ' " d`}},
		{"unquoted: comment", "A=b # c", []string{"A=b"}},
		{"unquoted: hash inside", "A=b#c", []string{"A=b#c"}},
		{"unquoted: hash first", "A=#c\nB= #d", []string{"A=#c", "B=#d"}},
		{"unquoted: right-trimmed", "A=b \u00a0\f", []string{"A=b"}},
		{"unquoted: no escapes", `A=b\nc\'`, []string{`A=b\nc\'`}},
		{"unquoted: equals sign", "A=b=c", []string{"A=b=c"}},
		{"empty value", "A=\nB= \nC=''\nD=\"\"", []string{"A=", "B=", "C=", "D="}},
		{"single quotes", `A='b # c " d '`, []string{`A=b # c " d `}},
		{"single quotes over lines", "A='b\nc'\nD=e", []string{"A=b\nc", "D=e"}},
		{"single quotes: escapes", `A='\\ \' \n \" \q'`, []string{`A=\ ' \n \" \q`}},
		{"double quotes", `A="b # c ' d "`, []string{`A=b # c ' d `}},
		{"double quotes over lines", "A=\"b\nc\"\nD=e", []string{"A=b\nc", "D=e"}},
		{"double quotes: escapes", `A="\\ \' \" \a\b\f\n\r\t\v"`, []string{"A=\\ ' \" \a\b\f\n\r\t\v"}},
		{"double quotes: other backslashes", `A="\q \x41 \u0041 \0"`, []string{`A=\q \x41 \u0041 \0`}},
		{"backslash before the last quote closes", `A="b\"`, []string{`A=b\`}},
		{"two backslashes do not close", `A="b\\" c"`, []string{`A=b\" c`}},
		{"white space after quote", "A='b' \t\nC=d", []string{"A=b", "C=d"}},
		{"comment after quote", "A='b' # c\nD=\"e\"#f", []string{"A=b", "D=e"}},
		{"dots and dashes", "discovery.type=single-node\nexport _a-b = 'c'\nD=${_a-b}", []string{"discovery.type=single-node", "_a-b=c", "D=c"}},
		{"duplicate: last value, first place", "A=1\nB=2\nA=3", []string{"A=3", "B=2"}},
		{"interpolation", "A=1\nB=${A}\nC='${A}'\nD=\"-${A}-${B}-\"", []string{"A=1", "B=1", "C=1", "D=-1-1-"}},
		{"interpolation: default", "B=${A:-x y}", []string{"B=x y"}},
		{"interpolation: default is not used for empty", "A=\nB=${A:-x}", []string{"A=", "B="}},
		{"interpolation: default is not used for bare", "A\nB=${A:-x}", []string{"A=", "B="}},
		{"interpolation: default is not expanded", "A=1\nB=${C:-${A}}", []string{"A=1", "B=${A}"}},
		{"interpolation: result is not expanded", "A='$'\nB='${A}{A}'\nC=${B}", []string{"A=$", "B=${A}", "C=${A}"}},
		{"interpolation: absent", "B=[${A}]", []string{"B=[]"}},
		{"interpolation: only earlier keys", "B=[${A}]\nA=1", []string{"B=[]", "A=1"}},
		{"interpolation: own earlier value", "A=1\nA=${A}2", []string{"A=12"}},
		{"interpolation: never the host", "B=[${HOST}][${PATH}]", []string{"B=[][]"}},
		{"interpolation: no braces", "A=1\nB=$A", []string{"A=1", "B=$A"}},
		{"interpolation: after unescaping", `A=1` + "\n" + `B="\\${A}"` + "\n" + `C='$\'{A}'`, []string{"A=1", `B=\1`, `C=$'{A}`}},
		{"interpolation: other operators", "A=1\nB=${A:+x}${A:x}${A-x}", []string{"A=1", "B=${A:+x}${A:x}"}},
		{"interpolation: not closed", "A=1\nB=${A ${A:-", []string{"A=1", "B=${A ${A:-"}},
		{"interpolation: after a stray colon", "A=1\nB=${x:${A}", []string{"A=1", "B=${x:1"}},
		{"interpolation: empty name", "B=[${}]", []string{"B=[]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, lenient := range []bool{false, true} {
				got, err := Parse(c.text, lenient)
				if err != nil {
					t.Fatalf("lenient %v: %v", lenient, err)
				}
				if d := cmp.Diff(c.want, pairs(got)); d != "" {
					t.Errorf("lenient %v: %s", lenient, d)
				}
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	const noVariable = "line 1: the key is not a variable name, which is letters, digits and _"
	for _, c := range []struct {
		name, text, want string
		lenient          []string
	}{
		{"text after single quotes", "A='b' c\nD=e", "line 1: text after the closing quote", []string{"D=e"}},
		{"text after double quotes", "A=\"b\"c\nD=e", "line 1: text after the closing quote", []string{"D=e"}},
		{"text after quotes over lines", "\r\n\r\nA='b\r\nc' d\r\nE=f", "line 3: text after the closing quote", []string{"E=f"}},
		{"unterminated single quote costs one line", "A=1\n\nB='c\nD=e", "line 3: the value's quote is never closed", []string{"A=1", "D=e"}},
		{"unterminated double quote costs one line", "A=\"c\nD=e", "line 1: the value's quote is never closed", []string{"D=e"}},
		{"unterminated key", "'A=1\nB=2", "line 1: the key's quote is never closed", []string{"B=2"}},
		{"empty key", "''=1\nB=2", "line 1: the key is empty", []string{"B=2"}},
		{"no key", "=1\nB=2", "line 1: there is no key", []string{"B=2"}},
		{"no key after export", "export =1\nB=2", "line 1: there is no key", []string{"B=2"}},
		{"export of nothing", "export \nB=2", "line 1: there is no key", []string{"B=2"}},
		{"two words", "A b\nB=2", "line 1: text after the key, where = is wanted", []string{"B=2"}},
		{"text after quoted key", "'A'b=1\nB=2", "line 1: text after the key, where = is wanted", []string{"B=2"}},
		{"second byte order mark", "\ufeff\ufeffA=1\nB=2", noVariable, []string{"B=2"}},
		{"double quotes in key", "\"A\"=1\nB=2", noVariable, []string{"B=2"}},
		{"quoted key that is no name", "'A B'=1\n'C=D'=2\nE=3", noVariable, []string{"E=3"}},
		{"quoted key over lines", "'A\nB'=1\nC=2", noVariable, []string{"C=2"}},
		{"digit first", "1A=1\nB=2", noVariable, []string{"B=2"}},
		{"dash and dot, bare", "A-b.c\nB=2", noVariable, []string{"B=2"}},
		{"dash and dot, empty", "A-b.c=\nB=2", noVariable, []string{"B=2"}},
		{"dash and padding, as in base64", "A=x\nA-b_c==\nB=2", strings.Replace(noVariable, "1", "2", 1), []string{"A=x", "B=2"}},
		{"dash and slash", "A-b/c=1\nB=2", noVariable, []string{"B=2"}},
		{"no ASCII", "é=1\nB=2", noVariable, []string{"B=2"}},
		{"a statement without a name goes as a whole", "a/b='c\nD=e' # f\nG=h", noVariable, []string{"G=h"}},
		{"a key without a name is not interpolated", "a/b=1\nC=[${a/b}]", noVariable, []string{"C=[]"}},
		{"line numbers after quotes over lines", "A='\n\n'\nB c", "line 4: text after the key, where = is wanted", []string{"A=\n\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Parse(c.text, false)
			if got != nil || err == nil || err.Error() != c.want {
				t.Errorf("strict: %v, error %v; want error %s", pairs(got), err, c.want)
			}
			got, err = Parse(c.text, true)
			if err != nil {
				t.Fatalf("lenient: %v", err)
			}
			if d := cmp.Diff(c.lenient, pairs(got)); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestParseBounds has texts that take memory or time out of all proportion
// where nothing bounds them.
func TestParseBounds(t *testing.T) {
	var doubling strings.Builder
	doubling.WriteString("V0=x\n")
	for i := range 60 {
		fmt.Fprintf(&doubling, "V%d=${V%d}${V%d}\n", i+1, i, i)
	}
	big := "A=" + strings.Repeat("x", maxValues/2) + "\n"
	const many = 1 << 20
	for _, c := range []struct {
		name, text string
		line       int // of the error; 0 for none
	}{
		{"doubling", doubling.String(), 21},
		{"doubling itself", "A=x\n" + strings.Repeat("A=${A}${A}\n", 60), 21},
		{"at the limit", big + "B=${A}", 0},
		{"over the limit", big + "B=${A}x", 2},
		{"literally over the limit", big + big + "B=1", 3},
		{"replaced values count", big + "B=${A}\nB=1", 3},
		{"opened only", "A='" + strings.Repeat("${", many/4) + "'", 0},
		{"opened before a colon", "A='" + strings.Repeat("${", many/4) + ":'", 0},
		{"opened before a default", "A='" + strings.Repeat("${x:-", many/8) + "'", 0},
		{"stray quotes", strings.Repeat("'\n", many), 1},
		{"escaped quotes", strings.Repeat(`A='\'`+"\n", many/8), 1},
		{"empty quoted keys", strings.Repeat("''\n", many), 1},
		{"blank lines", strings.Repeat("\r\n", many) + "A", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			done := make(chan error, 1)
			go func() {
				_, err := Parse(c.text, false)
				_, _ = Parse(c.text, true)
				done <- err
			}()
			select {
			case err := <-done:
				line := 0
				var syntax *SyntaxError
				if errors.As(err, &syntax) {
					line = syntax.Line
				}
				if line != c.line {
					t.Errorf("error %v, want one in line %d", err, c.line)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("hangs")
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"A=1\n", "export A='b\\'c' # d", "A=\"\\n${B:-c}\"", "'k'=v\r\nB", "A=${A}${A}\nA=${A}${A}", "A='\n\"=", "\ufeffA\u00a0=\x851"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lenient, err := Parse(text, true)
		var syntax *SyntaxError
		if err != nil && (!errors.As(err, &syntax) || !strings.HasPrefix(syntax.Reason, "the values are more than ")) {
			t.Fatalf("lenient: %v", err)
		}
		for _, e := range lenient {
			if !spec.IsVariable(strings.NewReplacer(".", "_", "-", "_").Replace(e.Key)) {
				t.Errorf("the key %q", e.Key)
			}
		}
		strict, strictErr := Parse(text, false)
		if strictErr != nil {
			if !errors.As(strictErr, &syntax) || syntax.Line < 1 {
				t.Fatalf("strict: %v", strictErr)
			}
			return
		}
		if err != nil {
			t.Fatalf("strict accepts what lenient refuses: %v", err)
		}
		if d := cmp.Diff(pairs(strict), pairs(lenient)); d != "" {
			t.Fatal(d)
		}
	})
}
