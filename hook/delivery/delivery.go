// SPDX-License-Identifier: Apache-2.0

// Package delivery tells what came of each start that asks for secrets: one line
// to the system log, and, where the settings say so, to a file and into counters.
//
// The line is a JSON object: which container asked for what, in which way, what it
// got from where, what happened on the way, how long that took, and the outcome.
// It has names, versions and ids of leases, and never a value: of a variable it is
// given only what is not its value, and an error's text has none (package fault).
//
// To tell is never a reason to refuse: a place that cannot be written, or not
// soon, is told to the system log as an error, and the start goes on. That a
// program does not come to run after all, because delivery in flight failed at its
// exec, is told by the tracer alone.
package delivery

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"strings"
	"time"

	"github.com/oci-secrets/oci-secrets/hook/printable"
	"github.com/oci-secrets/oci-secrets/hook/report"
	"github.com/oci-secrets/oci-secrets/hook/syslog"
	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/config"
	"github.com/oci-secrets/oci-secrets/spec"
	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/spec/limit"
)

// The ways of delivery, as logs and counters name them.
const (
	Hook      = "hook"      // in flight
	Precreate = "precreate" // podman's filter
	ShimSpec  = "shim-spec" // the runtime shim's copy of config.json
	Exec      = "exec"      // what exec had to ask for anew
)

// patience is how long files may take, in all: a disk that hangs does not hold
// up a start.
const patience = 500 * time.Millisecond

// maxSyslog is the longest line for the system log; log daemons cut what is much
// longer, and then it is no JSON any more. The file has what a container got in
// full, and of a start that failed no more than this either.
const maxSyslog = limit.ErrorText

// Delivery is one start, from the moment that it is known to ask for something. A
// nil one is told to nobody.
type Delivery struct {
	way, container string
	asked          spec.Asked
	record         *resolver.Record
	begun          time.Time
	log            config.Log
	vars           []resolver.Variable
}

// Begin begins a delivery; what happens within the context that it gives is in
// its record.
func Begin(ctx context.Context, way, container string, asked spec.Asked) (context.Context, *Delivery) {
	d := &Delivery{way: way, container: container, asked: asked, record: &resolver.Record{}, begun: time.Now()}
	return resolver.WithRecord(ctx, d.record), d
}

// Configure says where to tell it, besides the system log.
func (d *Delivery) Configure(log config.Log) {
	if d != nil {
		d.log = log
	}
}

// Resolved says what the container is to get.
func (d *Delivery) Resolved(vars []resolver.Variable) {
	if d != nil {
		d.vars = vars
	}
}

// End tells what came of it.
func (d *Delivery) End(err error) {
	took := time.Since(d.begun)
	l := d.line(err, took)
	most := limit.Output
	if err != nil {
		most = maxSyslog
	}
	text := l.fit(most)
	syslog.Info(l.fit(maxSyslog))
	if d.log.File == "" && d.log.Metrics == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, late := resolver.Await(ctx, "the log's files", func() (struct{}, error) {
		if d.log.File != "" {
			if err := appendLine(d.log.File, text+"\n"); err != nil {
				d.complain("is not in the log's file", err)
			}
		}
		if d.log.Metrics != "" {
			if err := add(d.log.Metrics, d.counters(fault.Outcome(err), took)); err != nil {
				d.complain("is not counted", err)
			}
		}
		return struct{}{}, nil
	})
	if late != nil {
		d.complain("may be neither logged nor counted", late)
	}
}

// complain says once what this start is missing in.
func (d *Delivery) complain(what string, err error) {
	of := d.way
	if d.container != "" {
		of += " of container " + d.container
	}
	syslog.Error(of + " " + what + ": " + strings.Join(report.Logged(err), "; "))
}

// line is what is told.
type line struct {
	Time         string             `json:"time"`
	Container    string             `json:"container,omitempty"`
	Way          string             `json:"way"`
	Outcome      string             `json:"outcome"`
	Asked        []string           `json:"asked,omitempty"`
	Secrets      []secret           `json:"secrets,omitempty"`
	Notes        []string           `json:"notes,omitempty"`
	Counts       map[string]int     `json:"counts,omitempty"`
	Milliseconds map[string]float64 `json:"ms"`
	Error        string             `json:"error,omitempty"`
	Cut          bool               `json:"cut,omitempty"` // there was more
}

// secret is one that variables came from.
type secret struct {
	Source     string   `json:"source"`
	Name       string   `json:"name,omitempty"`
	Version    int      `json:"version,omitempty"`
	Keys       []string `json:"keys"` // the variables' names
	Leases     []string `json:"leases,omitempty"`
	AgeSeconds float64  `json:"age_seconds,omitempty"`
}

func (d *Delivery) line(err error, took time.Duration) *line {
	l := &line{
		Time: d.begun.UTC().Format("2006-01-02T15:04:05.000Z07:00"), Container: d.container, Way: d.way, Outcome: fault.Outcome(err),
		Secrets: secrets(d.vars), Notes: d.record.Notes(), Counts: d.record.Counts(), Milliseconds: map[string]float64{},
	}
	for _, r := range d.asked.Requests {
		l.Asked = append(l.Asked, r.String())
	}
	for _, p := range d.record.Phases() {
		l.Milliseconds[p.Name] = Milliseconds(p.Took())
	}
	l.Milliseconds["total"] = Milliseconds(took)
	if err != nil {
		l.Error = strings.Join(report.Logged(err), "; ")
	}
	return l
}

// fit is the line as JSON with as much of its lists as fits into most bytes. The
// error is the first of what is wrong, and always there.
func (l *line) fit(most int) string {
	text := l.text()
	for len(text) > most && len(l.Asked)+len(l.Secrets)+len(l.Notes) > 0 {
		l.Asked, l.Secrets, l.Notes, l.Cut = l.Asked[:len(l.Asked)/2], l.Secrets[:len(l.Secrets)/2], l.Notes[:len(l.Notes)/2], true
		text = l.text()
	}
	if len(text) > most {
		l.Error, l.Cut = l.Error[:min(len(l.Error), most/4)], true
		text = l.text()
	}
	return text
}

// text is the line as JSON, without its end.
func (l *line) text() string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(l) // of strings and numbers, which do not fail
	return printable.Line(strings.TrimSuffix(b.String(), "\n"))
}

// secrets are what variables came from, in their order.
func secrets(vars []resolver.Variable) []secret {
	type origin struct {
		source, name string
		version      int
	}
	var list []secret
	at := map[origin]int{}
	for _, v := range vars {
		o := origin{v.Source, v.Secret, v.Version}
		i, ok := at[o]
		if !ok {
			i = len(list)
			at[o] = i
			s := secret{Source: v.Source, Name: v.Secret, Version: v.Version}
			if v.Lease != "" {
				s.Leases = []string{v.Lease}
			}
			if v.Age != 0 {
				s.AgeSeconds = max(math.Round(v.Age.Seconds()*1000)/1000, .001)
			}
			list = append(list, s)
		}
		list[i].Keys = append(list[i].Keys, v.Name)
	}
	return list
}

// Milliseconds is d as it is told.
func Milliseconds(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Microsecond)) / 1000
}
