// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"errors"
	"fmt"
)

// A block is the part of a TOML file that is ours, between two lines that say
// so. The rest of the file stays as it is, byte for byte, and can be edited.
const (
	blockBegin = "# oci-secrets begin: `oci-secrets uninstall` takes this out again"
	blockEnd   = "# oci-secrets end"
)

// withBlock puts body in the place of the block that is there, or at the end.
func withBlock(text []byte, body string) ([]byte, error) {
	before, after, ok, err := cutBlock(text)
	if err != nil {
		return nil, err
	}
	if !ok {
		before, after = text, nil
		if len(before) > 0 && before[len(before)-1] != '\n' {
			before = append(bytes.Clone(before), '\n')
		}
	}
	out := fmt.Appendf(bytes.Clone(before), "%s\n%s%s\n%s", blockBegin, body, blockEnd, after)
	_, err = decode(out)
	return out, err
}

// withoutBlock takes the block out.
func withoutBlock(text, original []byte) ([]byte, error) {
	before, after, ok, err := cutBlock(text)
	if err != nil || !ok {
		return text, err
	}
	rest := append(bytes.Clone(before), after...)
	switch {
	case original == nil && len(rest) == 0:
		return nil, nil
	case bytes.Equal(rest, append(bytes.Clone(original), '\n')): // the line end that withBlock added
		return original, nil
	}
	return rest, nil
}

// cutBlock gives what stands before and after the block.
func cutBlock(text []byte) (before, after []byte, ok bool, err error) {
	from, to := lineAt(text, blockBegin), lineAt(text, blockEnd)
	switch {
	case from < 0 && to < 0:
		return text, nil, false, nil
	case from < 0 || to < from || bytes.Count(text, []byte(blockBegin)) > 1:
		return nil, nil, false, errors.New("the lines around what is ours are not as they were; put them right by hand")
	}
	end := to + len(blockEnd)
	if end < len(text) {
		end++ // its line end
	}
	return text[:from], text[end:], true, nil
}

// lineAt is where a line that is exactly this begins; -1 where there is none.
func lineAt(text []byte, line string) int {
	at := 0
	for l := range bytes.Lines(text) {
		if string(bytes.TrimSuffix(l, []byte("\n"))) == line {
			return at
		}
		at += len(l)
	}
	return -1
}
