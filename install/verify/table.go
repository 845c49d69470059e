// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/oci-secrets/oci-secrets/hook/printable"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// Engines are the names of the engines that can be verified.
func Engines() []string { return []string{"podman", "docker", "containerd", "runc"} }

// Run verifies the engine called name, and writes a table. stateDir is that of
// the settings that the hook reads, and config names those where they are not in
// their usual place. What is broken is the error, with what mends it.
func Run(ctx context.Context, w io.Writer, name, stateDir, config string) (err error) {
	tag := strings.ToLower("oci-secrets-verify-" + rand.Text()[:10])
	image := "localhost/oci-secrets-verify:" + tag
	e, err := open(ctx, name, image, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.close(ctx)) }()
	if err := checkStatic("/proc/self/exe"); err != nil {
		return err
	}
	s, err := newSecret(stateDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.remove()) }()
	for _, load := range e.load {
		if err := loadImage(ctx, load, image); err != nil {
			return fault.New(failed, "", "%s: load the image of this binary: %w", name, err)
		}
		e.loaded = true
	}
	results := make([][checks]cell, len(e.ways))
	for i, way := range e.ways {
		results[i] = way.verify(ctx, s, fmt.Sprintf("%s-%d", tag, i))
	}
	if ctx.Err() != nil {
		return fault.New(failed, "", "interrupted")
	}
	if err := e.write(w, results); err != nil {
		return err
	}
	return errors.Join(e.broken(results), e.problem)
}

func open(ctx context.Context, name, image, config string) (*engine, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	switch name {
	case "podman":
		return openPodman(ctx, image)
	case "docker":
		return openDocker(ctx, image)
	case "containerd":
		return openContainerd(ctx, image, self)
	default:
		return openRunc(self, config)
	}
}

// loadImage gives the image to the engine.
func loadImage(ctx context.Context, load []string, image string) error {
	r, w := io.Pipe()
	go func() { w.CloseWithError(writeImage(w, image)) }()
	_, err := outputOf(ctx, r, load)
	return errors.Join(err, r.Close())
}

// close takes the image away, and what else there is.
func (e *engine) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	var err error
	for _, unload := range e.unload {
		if _, problem := output(ctx, unload); problem != nil && e.loaded {
			err = errors.Join(err, fault.New(failed, strings.Join(unload, " "), "the image is left: %w", problem))
		}
	}
	if e.clean != nil {
		err = errors.Join(err, e.clean())
	}
	return err
}

func (e *engine) write(w io.Writer, results [][checks]cell) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	cells := []string{"CHECK"}
	for _, way := range e.ways {
		cells = append(cells, way.name)
	}
	_, _ = fmt.Fprintln(t, strings.Join(cells, "\t")) // a tabwriter tells its errors at Flush
	for row, what := range rows {
		cells := []string{what.name}
		for i := range e.ways {
			c := results[i][row]
			if len(c.text) > 40 { // the error has all of it
				c.text = ""
			}
			cells = append(cells, printable.Line(c.String()))
		}
		_, _ = fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, note := range e.notes {
		if _, err := fmt.Fprintln(w, "note: "+printable.Line(note)); err != nil {
			return err
		}
	}
	return nil
}

// broken is the first broken link of each way; the ones after it follow from it.
func (e *engine) broken(results [][checks]cell) error {
	var errs fault.List
	for i, way := range e.ways {
		for row := range checks {
			c := results[i][row]
			if c.ok || c.info || c == (cell{}) {
				continue
			}
			text := rows[row].broken
			if c.text != "" {
				text += ": " + c.text
			}
			errs.Add(fault.New(failed, c.fix, "%s: %s", way.name, text))
			break
		}
	}
	return errs.Err()
}
