// SPDX-License-Identifier: Apache-2.0

package spec

import "strings"

// Merge gives env with vars, each a NAME=value. A variable replaces, in place,
// every element that sets its name, or else is appended, in the order given.
// Nothing is dropped or moved: podman panics if an element goes missing. Of
// several vars with one name the last counts, in the place of the first. An
// element without = sets nothing and stays as it is.
//
// It is the reference that the tests hold both deliveries to: [Doc.WithEnv], and
// the tracer, which has the same rule for a process's stack.
func Merge(env, vars []string) []string {
	changes := planMerge(vars)
	merged := make([]string, 0, len(env)+len(vars))
	for _, e := range env {
		if v, ok := changes.replacement(e); ok {
			e = v
		}
		merged = append(merged, e)
	}
	return append(merged, changes.rest()...)
}

// merge is the rule of [Merge], for lists and for documents.
type merge struct {
	vars  []string       // one for each name
	index map[string]int // of each name in vars
	used  []bool         // vars that replaced an element
}

func planMerge(vars []string) *merge {
	m := &merge{index: make(map[string]int, len(vars))}
	for _, v := range vars {
		name, _, _ := strings.Cut(v, "=")
		if i, ok := m.index[name]; ok {
			m.vars[i] = v
			continue
		}
		m.index[name] = len(m.vars)
		m.vars = append(m.vars, v)
	}
	m.used = make([]bool, len(m.vars))
	return m
}

// replacement is what takes the place of element, if something does.
func (m *merge) replacement(element string) (string, bool) {
	name, _, ok := strings.Cut(element, "=")
	if !ok {
		return "", false
	}
	i, ok := m.index[name]
	if !ok {
		return "", false
	}
	m.used[i] = true
	return m.vars[i], true
}

// rest are the variables that replaced nothing so far.
func (m *merge) rest() []string {
	var rest []string
	for i, v := range m.vars {
		if !m.used[i] {
			rest = append(rest, v)
		}
	}
	return rest
}
