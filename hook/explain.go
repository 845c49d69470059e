// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/oci-secrets/oci-secrets/hook/printable"
	"github.com/oci-secrets/oci-secrets/hook/report"
	"github.com/oci-secrets/oci-secrets/hook/start"
	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/spec"
	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/spec/limit"
)

func explainCommand() *cli.Command {
	return &cli.Command{
		Name:  "explain",
		Usage: "show what a container would get: names and places, never a value",
		Description: "Examples:\n" +
			"   oci-secrets explain --annotation secrets.oci/from=db+stripe#API_KEY\n" +
			"   oci-secrets explain --bundle /run/containers/web --json\n" +
			"   oci-secrets explain --bundle . --timings      # and how long it takes\n" +
			"   oci-secrets explain --bundle . --offline      # grammar and settings alone",
		OnUsageError:    usageError,
		HideHelpCommand: true,
		Flags: []cli.Flag{
			configFlag(),
			&cli.StringFlag{Name: "bundle", Usage: "read annotations and environment from `DIR`/config.json"},
			&cli.StringSliceFlag{Name: "annotation", Usage: "explain `KEY=VALUE`; may be given several times"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
			&cli.BoolFlag{Name: "timings", Usage: "also show how long what took, and what was done how often"},
			&cli.BoolFlag{Name: "offline", Usage: "check grammar and settings, and ask no source"},
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return fault.New(fault.Usage, "write it as --annotation secrets.oci/from=db", "explain takes no argument, and got %q", c.Args().First())
			}
			return explain(c)
		},
	}
}

// explanation is what explain prints.
type explanation struct {
	Variables []explained `json:"variables,omitempty"`
	Requests  []planned   `json:"requests,omitempty"` // offline
	Notes     []string    `json:"notes,omitempty"`    // on what was not as it should be
	Timings   *timings    `json:"timings,omitempty"`
}

// explained is one variable that the container would get.
type explained struct {
	Name     string   `json:"name"`
	Source   string   `json:"source"`
	Secret   string   `json:"secret,omitempty"`
	Version  int      `json:"version,omitempty"`
	Replaces []string `json:"replaces,omitempty"`
}

// planned is one request and where it would be looked up.
type planned struct {
	Request string   `json:"request"`
	Sources []string `json:"sources"`
}

func explain(c *cli.Context) error {
	if err := start.Harden(); err != nil {
		return err
	}
	start.LockMemory()
	debug.SetMemoryLimit(limit.Memory)
	out := &capped{to: c.App.Writer}
	annotations, doc, err := subject(c)
	if err != nil {
		return err
	}
	asked, err := start.Asked(annotations, "")
	if err != nil {
		return err
	}
	timed := c.Bool("timings")
	if timed && c.Bool("offline") {
		return report.Usage("explain takes --timings or --offline: nothing is asked offline")
	}
	var e explanation
	record, begun := &resolver.Record{}, time.Now()
	ctx := resolver.WithRecord(c.Context, record)
	if c.Bool("offline") {
		e.Requests, err = plan(ctx, c, asked)
	} else {
		e.Variables, err = variables(ctx, c, asked, doc)
	}
	e.Notes = record.Notes()
	if timed { // also of what failed: where the time went is the question then
		e.Timings = timingsOf(record, time.Since(begun))
	}
	if err != nil && e.Timings == nil {
		return err
	}
	if c.Bool("json") {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return errors.Join(err, enc.Encode(e))
	}
	if asked.None() {
		text := "nothing is asked for"
		if !slices.ContainsFunc(slices.Collect(maps.Keys(annotations)), spec.IsOurs) {
			text += "\nnote: annotations ask, and labels (--label) do not"
		}
		_, err = fmt.Fprintln(out, text)
		return err
	}
	return errors.Join(err, e.table(out))
}

// subject is what is to be explained: annotations, and the container that has them,
// nil for none.
func subject(c *cli.Context) (annotations map[string]string, doc *spec.Doc, err error) {
	bundle, pairs := c.String("bundle"), c.StringSlice("annotation")
	if (bundle == "") == (len(pairs) == 0) {
		return nil, nil, report.Usage("explain takes either --bundle or --annotation")
	}
	if bundle != "" {
		doc, annotations, err = start.ReadBundle(bundle)
		return annotations, doc, err
	}
	annotations = map[string]string{}
	for _, p := range pairs {
		key, value, ok := strings.Cut(p, "=")
		if !ok {
			return nil, nil, report.Usage("--annotation %q: want KEY=VALUE, such as secrets.oci/from=db", p)
		}
		if _, twice := annotations[key]; twice {
			return nil, nil, report.Usage("--annotation %q is given twice; list several names in one value", key)
		}
		annotations[key] = value
	}
	return annotations, nil, nil
}

// variables resolves what is asked for and keeps all but the values.
func variables(ctx context.Context, c *cli.Context, asked spec.Asked, doc *spec.Doc) ([]explained, error) {
	if asked.None() {
		return nil, nil
	}
	var container resolver.Container
	var env []string
	if doc != nil {
		var err error
		if env, err = doc.Env(); err != nil {
			return nil, fmt.Errorf("the config.json of %s: %w", c.String("bundle"), err)
		}
		container.Spec = func() (*spec.Doc, error) { return doc, nil }
	}
	st := newStart(c)
	st.OpenVault = openTrial
	vars, err := st.Resolve(ctx, container, asked)
	if err != nil {
		return nil, err
	}
	has := make(map[string]bool, len(env)) // an image may have many
	for _, e := range env {
		if name, _, ok := strings.Cut(e, "="); ok {
			has[name] = true
		}
	}
	out := make([]explained, len(vars))
	for i, v := range vars {
		out[i] = explained{v.Name, v.Source, v.Secret, v.Version, v.Overrides}
		if has[v.Name] {
			out[i].Replaces = append([]string{"config.json"}, v.Overrides...)
		}
	}
	return out, nil
}

// plan checks the settings and says where each request would be looked up.
func plan(ctx context.Context, c *cli.Context, asked spec.Asked) ([]planned, error) {
	settings, err := newStart(c).Settings(ctx)
	if err != nil {
		return nil, err
	}
	r, err := settings.Resolver(openTrial, resolver.Container{})
	if err != nil {
		return nil, err
	}
	if err := r.Check(asked); err != nil {
		return nil, err
	}
	var out []planned
	for _, req := range asked.Requests {
		p := planned{Request: req.String(), Sources: settings.Chain}
		if req.Scheme != "" {
			p.Sources = []string{req.Scheme}
		}
		out = append(out, p)
	}
	if len(asked.Dict) > 0 {
		out = append(out, planned{Request: "secrets.oci/dict", Sources: []string{resolver.Inline}})
	}
	return out, nil
}

func (e explanation) table(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if e.Requests != nil {
		row(t, "REQUEST", "LOOKED UP IN")
		for _, p := range e.Requests {
			row(t, p.Request, strings.Join(p.Sources, ", "))
		}
	}
	if e.Variables != nil { // nil where it failed
		row(t, "VARIABLE", "SOURCE", "SECRET", "VERSION", "REPLACES")
	}
	for _, v := range e.Variables {
		version := ""
		if v.Version != 0 {
			version = strconv.Itoa(v.Version)
		}
		row(t, v.Name, v.Source, v.Secret, version, strings.Join(v.Replaces, ", "))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, n := range e.Notes {
		if _, err := fmt.Fprintf(w, "note: %s\n", printable.Line(n)); err != nil {
			return err
		}
	}
	if e.Timings == nil {
		return nil
	}
	return e.Timings.table(w)
}

// row writes one row; an empty cell is a dash. What a server called a lease must
// not reach a terminal as anything but text.
func row(w io.Writer, cells ...string) {
	for i, c := range cells {
		if c == "" {
			cells[i] = "-"
		}
		cells[i] = printable.Line(cells[i])
	}
	_, _ = fmt.Fprintln(w, strings.Join(cells, "\t")) // a tabwriter tells its errors at Flush
}
