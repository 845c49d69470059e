// SPDX-License-Identifier: Apache-2.0

// Package verify finds out whether containers get their secrets through an
// engine as it is configured: it starts some that ask for a secret made for the
// purpose, and looks. Nothing else tells: podman starts a container without its
// hook, and without a word, where a file is missing.
//
// The image is this binary. Containers, image and secret are taken away at the
// end, also of one that is interrupted; after a kill, a container ends by itself
// within minutes. The operator's sources are not asked.
//
// What it does not show: that the operator's sources have what containers ask
// for (`oci-secrets explain` does), and engines that others configured otherwise
// by flags or environments of their own.
package verify

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// patience bounds each command of an engine.
const patience = 2 * time.Minute

// way is one way to start a container through an engine.
type way struct {
	name string // the table's column
	shim bool   // the shim takes part, so exec must see the secret
	fix  string // what makes the hook run

	// run is the command line that runs a container to its end: called by name,
	// asking for a secret, with the program's arguments. Its standard output is
	// the container's.
	run func(name, secret string, args ...string) ([]string, error)
	// exec is the command line that runs the program in a running container.
	exec func(name string, args ...string) []string
	// annotations and inspect show a container: its annotations, and everything.
	annotations, inspect func(name string) []string
	// remove is what removes a container, whatever state it is in; failures of
	// it do not count.
	remove func(name string) [][]string
}

// engine is an engine to verify.
type engine struct {
	ways   []way
	load   [][]string // each reads the image on standard input
	unload [][]string
	loaded bool
	notes  []string
	clean  func() error // nil for nothing

	problem error // what no container of ours shows
}

// check is a row of the table.
type check int

const (
	arrived check = iota
	ran
	first
	execs
	hidden
	refuses
	checks
)

// rows are what each check is called, and what it means that it fails.
var rows = [checks]struct{ name, broken string }{
	{"the annotation arrived", "the annotation does not arrive"},
	{"the hook ran", "the hook does not run"},
	{"the first process has the secret", "the first process does not have the secret"},
	{"exec has the secret", "exec does not have the secret"},
	{"inspect does not show it", "inspect must not show the secret"},
	{"refused when a secret is missing", "a container starts without a secret that is missing"},
}

// cell is a cell of the table.
type cell struct {
	ok   bool
	info bool   // that it is not so is as it must be
	text string // what else there is to say
	fix  string
}

func (c cell) String() string {
	s := "no"
	if c.ok {
		s = "yes"
	}
	if c.text != "" {
		s += ": " + c.text
	}
	return s
}

// run verifies one way.
func (w way) verify(ctx context.Context, s *secret, name string) [checks]cell {
	var cells [checks]cell
	defer w.cleanUp(ctx, name)
	c, err := w.start(ctx, name, s.name)
	if err != nil {
		cells[first] = cell{text: err.Error()}
		return cells
	}
	defer c.end()
	got, problem := c.firstLine()
	switch {
	case problem == "":
		cells[ran] = cell{ok: got != digest(""), fix: w.fix}
		cells[first] = cell{ok: got == digest(s.value), fix: w.fix}
	case strings.Contains(problem, "oci-secrets: ") || strings.Contains(problem, "hook"):
		cells[ran] = cell{ok: true}
		cells[first] = cell{text: "refused: " + problem}
	default:
		cells[first] = cell{text: problem, fix: w.fix}
	}
	if problem == "" {
		out, err := output(ctx, w.annotations(name))
		cells[arrived] = cell{ok: err == nil && strings.Contains(out, s.name), fix: w.fix}
		out, err = output(ctx, w.exec(name, program, ProbeCommand, "print"))
		cells[execs] = cell{ok: err == nil && strings.TrimSpace(out) == digest(s.value)}
		switch {
		case cells[execs].ok:
		case err != nil:
			cells[execs].text = err.Error()
		case !w.shim:
			cells[execs].info, cells[execs].text = true, "that needs the shim"
		default:
			cells[execs].fix = `exec = "off" in the settings has this effect`
		}
		out, err = output(ctx, w.inspect(name))
		switch {
		case err != nil:
			cells[hidden].text = err.Error()
		case strings.TrimSpace(out) == "":
			cells[hidden].text = "it showed nothing at all"
		case strings.Contains(out, s.value):
			cells[hidden].text = "the value is there"
		default:
			cells[hidden].ok = true
		}
	}
	cells[refuses] = w.refuses(ctx, s, name+"-missing")
	return cells
}

// refuses starts a container whose secret is missing.
func (w way) refuses(ctx context.Context, s *secret, name string) cell {
	defer w.cleanUp(ctx, name)
	c, err := w.start(ctx, name, s.missing())
	if err != nil {
		return cell{text: err.Error()}
	}
	defer c.end()
	if _, problem := c.firstLine(); problem == "" {
		return cell{text: "the container ran", fix: w.fix}
	}
	return cell{ok: true}
}

// container is one that runs, as the child process of the engine's client.
type container struct {
	cmd    *exec.Cmd
	cancel context.CancelFunc
	stdout *bufio.Reader
	stderr bytes.Buffer
}

func (w way) start(ctx context.Context, name, secret string) (*container, error) {
	argv, err := w.run(name, secret, program, ProbeCommand, "wait")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	c := &container{cmd: command(ctx, argv), cancel: cancel}
	c.cmd.Stderr = &c.stderr
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	c.stdout = bufio.NewReader(out)
	return c, nil
}

// firstLine is what the container's program said first; or why it did not.
func (c *container) firstLine() (line, problem string) {
	line, err := c.stdout.ReadString('\n')
	if err == nil {
		return strings.TrimSpace(line), ""
	}
	err = c.cmd.Wait()
	if text := lastLine(c.stderr.String()); text != "" {
		return "", text
	}
	return "", fmt.Sprintf("it printed nothing, and ended: %v", err)
}

// end ends the client. What is left of the container is removed by name.
func (c *container) end() {
	c.cancel()
	_ = c.cmd.Wait() // it was killed, or has been waited for
}

// cleanUp removes a container, also after an interrupt.
func (w way) cleanUp(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	for _, argv := range w.remove(name) {
		_, _ = output(ctx, argv) // most are not there any more
	}
}

// command is an engine's client in a process group of its own: a ^C is for us,
// who take away what the client has made.
func command(ctx context.Context, argv []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) //nolint:gosec // our own words
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second // a container may hold the pipes
	return cmd
}

// output runs a command and gives its standard output. The error has the last
// line of what it said.
func output(ctx context.Context, argv []string) (string, error) {
	return outputOf(ctx, nil, argv)
}

func outputOf(ctx context.Context, stdin io.Reader, argv []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := command(ctx, argv)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	err := cmd.Run()
	if text := lastLine(stderr.String()); err != nil && text != "" && !errors.Is(err, exec.ErrNotFound) {
		err = errors.New(text)
	}
	return stdout.String(), err
}

// logged is the message in a line of logrus, which crictl prints.
var logged = regexp.MustCompile(`level=\w+ msg=("(?:[^"\\]|\\.)*")`)

// lastLine is the last line that says something of our own, else the last.
func lastLine(text string) string {
	last := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if m := logged.FindStringSubmatch(line); m != nil {
			if msg, err := strconv.Unquote(m[1]); err == nil {
				line = msg
			}
		}
		if line == "" || strings.HasPrefix(line, "hint: ") {
			continue
		}
		if !strings.Contains(last, "oci-secrets: ") || strings.Contains(line, "oci-secrets: ") {
			last = line
		}
	}
	return last
}

// failed is the exit code of what has no class of its own.
const failed fault.Class = 1
