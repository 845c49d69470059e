// SPDX-License-Identifier: Apache-2.0

package budget

import (
	"fmt"
	"strings"
)

// full is the size of the largest annotations.
const full = 256 << 10

// A shape is annotations that somebody writes to have much come of little.
type shape map[string]string

func from(list string) shape   { return shape{"secrets.oci/from": list} }
func dict(object string) shape { return shape{"secrets.oci/dict": object} }

// fill repeats text, up to the size of the largest annotation.
func fill(text string) string { return strings.Repeat(text, full/len(text)) }

// numbered is prefix, and format with the numbers from 0, joined by sep: n of
// them, or as many as fit.
func numbered(prefix, format, sep string, n int) string {
	var b strings.Builder
	b.WriteString(prefix)
	for i := range n {
		next := fmt.Sprintf(format, i)
		if b.Len()+len(sep)+len(next) >= full-1 {
			break
		}
		if i > 0 {
			b.WriteString(sep)
		}
		b.WriteString(next)
	}
	return b.String()
}

const many = 1 << 20 // more than fit

// keyed are many annotations, of which each has the value.
func keyed(format, value string, n int) shape {
	s := shape{}
	for i := range n {
		s[fmt.Sprintf(format, i)] = value
	}
	return s
}

// shapes are every way of filling annotations. The dict of the test has the
// secrets wide, of 1,000 keys, and big, of one value of 130 KB.
func shapes() map[string]shape {
	return map[string]shape{
		"names":                      from(numbered("", "n%d", " ", many)),
		"1000 names":                 from(numbered("", "n%d", " ", 1000)),
		"1000 long names":            from(numbered("", strings.Repeat("n", 60)+"%d/"+strings.Repeat("m", 60)+"/"+strings.Repeat("k", 60)+"/x", " ", 1000)),
		"1000 names by commas":       from(numbered("", "n%d", ",", 1000)),
		"optional names":             from(numbered("", "n%d?", " ", 1000)),
		"one name":                   from(strings.Repeat("n", full)),
		"one deep name":              from(fill("n/")),
		"pinned names":               from(numbered("", "dotenv:n%d", " ", 1000)),
		"names without a source":     from(numbered("", "vault:n%d", " ", 1000)),
		"schemes":                    from(fill("s:")),
		"unknown schemes":            from(numbered("", "s%d:n", " ", 1000)),
		"versions":                   from(numbered("", "wide@%d", " ", 1000)),
		"long version":               from("wide@" + strings.Repeat("1", full-5)),
		"wide again and again":       from(strings.Repeat("wide ", 1000)),
		"big again and again":        from(strings.Repeat("big ", 1000)),
		"keys":                       from(numbered("wide#", "X%d", "#", many)),
		"8000 keys":                  from(numbered("wide#", "X%d", "#", 8000)),
		"1000 keys":                  from(numbered("wide#", "X%d", "#", 1000)),
		"1000 keys of as many names": from(numbered("", "wide#X%d", " ", 1000)),
		"1000 keys that are there":   from(numbered("wide#", "K%d", "#", 1000)),
		"1000 optional keys":         from(numbered("wide#", "X%d", "#", 1000) + "?"),
		"long keys":                  from(numbered("wide#", strings.Repeat("X", 250)+"%d", "#", 1000)),
		"one key":                    from("wide#" + strings.Repeat("X", full-5)),
		"one key for each name":      from(numbered("", "wide#"+strings.Repeat("X", 240)+"%d", " ", 1000)),
		"keys that cannot be":        from(numbered("wide#", "X.%d", "#", 1000)),
		"hashes":                     from("wide" + fill("#")[:full-4]),
		"equals":                     from("wide#K0" + fill("=")[:full-7]),
		"4000 renames of one value":  from(numbered("big#", "B=V%d", "#", 4000)),
		"1000 renames of one value":  from(numbered("big#", "B=V%d", "#", 1000)),
		"47 renames of one value":    from(numbered("big#", "B=V%d", "#", 47)),
		"1000 renamed items":         from(numbered("", "big#B=V%d", " ", 1000)),
		"one rename again and again": from(fill("big#B=V ")[:8*1000]),
		"reserved renames":           from(numbered("wide#", "K0=LD_%d", "#", 1000)),
		"garbage":                    from(fill("!")),
		"garbage with blanks":        from(fill("! ")),
		"garbage with commas":        from(fill("!,")),
		"garbage of 1000":            from(fill(strings.Repeat("!", full/1000) + " ")),
		"commas":                     from(fill(",")),
		"blanks":                     from(fill(" ")),
		"question marks":             from(fill("?")),
		"slashes":                    from(fill("/")),
		"quotes":                     from(fill(`"'`)),
		"phrases of podman":          from(fill("permission denied,")),
		"percent":                    from(fill("%s%n%[9]d ")),
		"controls":                   from(fill("\x01")),
		"escapes of a terminal":      from(fill("\x1b[2J\a")),
		"lines":                      from(fill("n\n")),
		"unicode":                    from(fill("é")),
		"wide unicode":               from(fill("🦀 ")),
		"lists of containers":        keyed("secrets.oci/from.c%d", "wide", full/4),
		"as many lists as may be":    keyed("secrets.oci/from.c%d", "wide!", 10_000),
		"long lists of containers":   keyed("secrets.oci/from.c%d", strings.Repeat("! ", 128), full/256),
		"long names of containers":   keyed("secrets.oci/from."+strings.Repeat("c", 4000)+"%d", "w", full/4100),
		"annotations unknown":        keyed("secrets.oci/x%d", "", 14_000),
		"annotations with long keys": keyed("secrets.oci/"+strings.Repeat("\x01", 4000)+"%d", "", full/4100),
		"dict with members":          dict("{" + numbered("", `"A%d":""`, ",", many) + "}"),
		"dict of reserved names":     dict("{" + numbered("", `"LD_%d":""`, ",", many) + "}"),
		"dict of wrong names":        dict("{" + numbered("", `"%d":""`, ",", many) + "}"),
		"dict of wrong values":       dict("{" + numbered("", `"A%d":1`, ",", many) + "}"),
		"dict of one name":           dict("{" + strings.TrimSuffix(strings.Repeat(`"A":"",`, full/8), ",") + "}"),
		"dict with a long name":      dict(`{"` + strings.Repeat("A", full-8) + `":""}`),
		"dict with a long value":     dict(`{"A":"` + strings.Repeat("v", full-10) + `"}`),
		"dict, deep":                 dict(`{"A":` + strings.Repeat("[", full-5)),
		"dict, deep objects":         dict(strings.Repeat(`{"A":`, full/5)),
		"dict of garbage":            dict(fill("x")),
		"dict of escapes":            dict(`{"A":"` + strings.Repeat(`\u0001`, full/6-2) + `"}`),
		"dict with half a pair":      dict("{" + numbered("", `"A%d":"\ud800"`, ",", many) + "}"),
		"everything": {
			"secrets.oci/from": numbered("", "wide#X%d", " ", 1000), "secrets.oci/from.web": fill("! ")[:full/4], "secrets.oci/dict": "{" + fill(`"LD_A":1,`)[:full/4],
			"secrets.oci/x": fill("x")[:full/8], "Secrets.OCI/y": fill("y")[:full/8],
		},
	}
}
