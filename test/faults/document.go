// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// preface stands before the table.
const preface = `# What happens when something is wrong with Vault

Written by ` + "`make faults`" + `, from a run of every fault in every way of delivery, against real runtimes, a real podman and a real Vault, but for the answers that
a real one does not give. The deadline of the starts was %v, and times are what a user waits for the whole command, on a machine that did other things
as well. Docker, containerd and Kubernetes go through the shim, and the NRI plugin lists the hook, so they are the columns of those.

A cell is the exit code of the hook (see the [README](../README.md#when-it-fails)), and the time until the container was refused. **Starts with it** says that the program ran,
and had its secret; in no cell did a program run without.

`

// Document is docs/faults.md, from what [Run] left in dir.
func Document(dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return "", err
	}
	slices.Sort(files)
	var ways []string
	cells := map[string]map[string]cell{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		var seen []cell
		if err := json.Unmarshal(b, &seen); err != nil {
			return "", fmt.Errorf("%s: %w", file, err)
		}
		slices.SortStableFunc(seen, func(a, b cell) int { return a.Column - b.Column })
		for _, c := range seen {
			if !slices.Contains(ways, c.Way) {
				ways = append(ways, c.Way)
			}
			if cells[c.Fault] == nil {
				cells[c.Fault] = map[string]cell{}
			}
			cells[c.Fault][c.Way] = c
		}
	}
	var doc strings.Builder
	fmt.Fprintf(&doc, preface, Deadline)
	row := func(cells ...string) { doc.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	row(append([]string{"fault", "class"}, ways...)...)
	row(slices.Repeat([]string{"---"}, len(ways)+2)...)
	for _, f := range all {
		outcome := ""
		texts := make([]string, len(ways))
		for i, w := range ways {
			c, ok := cells[f.name][w]
			if !ok {
				return "", fmt.Errorf("%q was not run by %q", f.name, w)
			}
			if outcome == "" {
				outcome = c.Outcome
			}
			texts[i] = "**starts with it**"
			if c.Code != 0 {
				texts[i] = fmt.Sprintf("%d, %.1f s", c.Code, c.Took.Seconds())
			}
		}
		row(append([]string{f.name, outcome}, texts...)...)
	}
	return doc.String(), nil
}
