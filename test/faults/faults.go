// SPDX-License-Identifier: Apache-2.0

// Package faults has everything that goes wrong with a Vault, and what must come
// of it: the container is refused, with a class and in time, or it starts with
// its secret; it never starts bare. The packages that know a way of delivery run
// all of it through [Run], and `make faults` writes docs/faults.md from what
// they saw.
package faults

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// Deadline is that of the starts, as the settings have it.
const Deadline = 2 * time.Second

// Host is a place where one way of delivery is set up, for one fault.
type Host interface {
	Dir() string                          // of the settings, for files that they name
	State() string                        // the state directory
	Settings(t *testing.T, tables string) // replaces the settings: these tables, Deadline, the state directory and the log Log
	Shell(t *testing.T, script string)    // runs a script where the engine runs, as root

	// Start starts a container that asks for names, and gives what came of it. A
	// program that runs reports its variables.
	Start(t *testing.T, names string) Result
}

// Log is the file below [Host.Dir] that deliveries are told in.
const Log = "deliveries.log"

// Result is what came of a start.
type Result struct {
	Env  []string // of the program; nil where it did not run
	Told string   // what the user sees, exit codes among it
	Mute bool     // the engine shows the message of the shim itself, and no code
	Took time.Duration
}

// Way is one way of delivery.
type Way struct {
	Name string
	New  func(t *testing.T) Host
}

// fault is one thing that goes wrong.
type fault struct {
	name    string
	code    int    // of the refusal; 0 where the container starts with its secret
	outcome string // in the log; "" where the settings, and with them the log, are not known
	wait    bool   // it is known at the deadline only
	names   string // "" for vault:db
	warm    bool   // a start that works comes first

	// setUp gives the tables of the settings.
	setUp func(t *testing.T, s *site) string
	// after comes behind the first start, or instead of it.
	after func(t *testing.T, s *site)
}

// cell is what one fault did to one way.
type cell struct {
	Fault, Way string
	Column     int // of the way
	Code       int
	Outcome    string
	Took       time.Duration
}

// Run runs every fault through every way. With $OCI_SECRETS_FAULTS it leaves
// what it saw in that directory, by the name of the package.
func Run(t *testing.T, name string, ways []Way) {
	rig.NeedRoot(t)
	l := newLab(t)
	cells := make(chan cell, 1000)
	t.Run("faults", func(t *testing.T) {
		for _, f := range all {
			for column, w := range ways {
				t.Run(f.name+"/"+w.Name, func(t *testing.T) {
					t.Parallel()
					c := f.run(t, l, w)
					c.Column = column
					cells <- c
				})
			}
		}
	})
	close(cells)
	dir := os.Getenv("OCI_SECRETS_FAULTS")
	if dir == "" {
		return
	}
	var seen []cell
	for c := range cells {
		seen = append(seen, c)
	}
	b, err := json.Marshal(seen)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".json"), b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// run makes one fault happen to one way, and judges what comes of it.
func (f fault) run(t *testing.T, l *lab, w Way) cell {
	t.Helper()
	h := w.New(t)
	s := &site{lab: l, Host: h}
	names := f.names
	if names == "" {
		names = "vault:db"
	}
	h.Settings(t, f.setUp(t, s))
	if f.warm {
		if r := h.Start(t, names); !l.has(r.Env) {
			t.Fatalf("the start that comes before the fault: %q\n%s", r.Env, r.Told)
		}
	}
	if f.after != nil {
		f.after(t, s)
	}
	r := h.Start(t, names)

	c := cell{Fault: f.name, Way: w.Name, Code: f.code, Outcome: outcome(t, h), Took: r.Took}
	if l.in(r.Told) || l.in(rig.ReadFile(t, logFile(t, h))) {
		t.Error("the value or a token is told")
	}
	switch {
	case f.code == 0 && !l.has(r.Env):
		t.Fatalf("the container did not start with its secret: %q\n%s", r.Env, r.Told)
	case f.code != 0 && r.Env != nil:
		t.Fatalf("the container started: %q", r.Env)
	case f.code != 0 && !r.Mute && !codes(r.Told, f.code):
		t.Errorf("the user does not see the code %d:\n%s", f.code, r.Told)
	}
	if f.outcome != "" && c.Outcome != f.outcome {
		t.Errorf("the outcome is %q, want %q\n%s", c.Outcome, f.outcome, r.Told)
	}
	// What an engine needs besides is its own, on a machine that is busy.
	const slack = 20 * time.Second
	if r.Took > Deadline+slack {
		t.Errorf("it took %v", r.Took)
	}
	if f.wait && r.Took < Deadline/2 {
		t.Errorf("it was refused after %v, and the deadline is %v", r.Took, Deadline)
	}
	if c.Outcome == "" {
		c.Outcome = f.outcome
	}
	return c
}

// codes reports whether told has the exit code: in the words of runc, of crun, or
// as the ways tell the code of a program that they ran themselves.
func codes(told string, code int) bool {
	for _, words := range []string{"exit status N", "(exit code: N)", "exited with N"} {
		if strings.Contains(told, strings.ReplaceAll(words, "N", itoa(code))) {
			return true
		}
	}
	return false
}

// logFile is the file that deliveries are told in, which is made where it is not.
func logFile(t *testing.T, h Host) string {
	t.Helper()
	path := filepath.Join(h.Dir(), Log)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// outcome is that of the last delivery in the log; "" for none.
func outcome(t *testing.T, h Host) string {
	t.Helper()
	lines := slices.Collect(strings.Lines(rig.ReadFile(t, logFile(t, h))))
	if len(lines) == 0 {
		return ""
	}
	var last struct{ Outcome string }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Errorf("the log: %v", err)
	}
	return last.Outcome
}
