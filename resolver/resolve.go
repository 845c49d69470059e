// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/oci-secrets/oci-secrets/spec"
	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/spec/limit"
)

// parallel bounds the secrets that are read at once.
const parallel = 32

// Inline is the source of variables that stand in the annotation itself.
const Inline = "annotation"

// Variable is one variable that a container gets.
type Variable struct {
	Name    string
	Value   Value
	Source  string        // the source that answered, or Inline
	Secret  string        // the name it was asked by, as the annotation has it; empty for Inline
	Version int           // 0 where the source has no versions
	Lease   string        // the id of its lease; "" for none
	Age     time.Duration // see [Secret]

	Overrides []string // the origins of earlier values for the name, oldest first, of the last few
}

// origin is where a variable's value comes from, in a word.
func (v Variable) origin() string {
	if v.Source == Inline {
		return Inline
	}
	return v.Source + ":" + v.Secret
}

// Resolver answers for whole containers.
type Resolver struct {
	Chain    Chain             // where plain names are looked up
	Pinned   map[string]Source // where names with a scheme are looked up
	Reserved map[string]Source // where plain names with such a beginning are looked up, and nowhere else
	Names    spec.Names        // which variables secrets may set
}

// Resolve gives the variables that asked leads to, each name once, in the
// order in which the names were first met; of several values for a name the
// last one wins. Requests are read in parallel and applied in their order.
//
// It is all or nothing, and everything that is wrong is in the error, up to what
// a [fault.List] bears: every missing secret and key, every refusal and every
// variable that may not be set, one fault each. What is too large for package
// limit is the only one, and ends it at once. It does not outlive ctx, even where a
// source does.
func (r *Resolver) Resolve(ctx context.Context, asked spec.Asked) ([]Variable, error) {
	reading, budget := withBudget(ctx)
	defer budget.end()
	answers := r.read(reading, asked.Requests)
	if budget.left.Load() < 0 {
		return nil, ErrBudget
	}
	m := merger{names: r.Names, record: RecordOf(ctx), values: map[*Secret]map[string]Value{}}
	for i, req := range asked.Requests {
		a := answers[i]
		if a.err != nil {
			if !req.Optional || !errors.Is(a.err, ErrMiss) {
				m.fail(fmt.Errorf("secret %q: %w", req.Brief(), a.err))
			}
			continue
		}
		if ctx.Err() != nil && m.errs.Err() == nil { // a thousand secrets of a thousand keys take a while, too
			m.fail(fault.New(fault.Unreachable, "", "secret %q: no time to apply it before the deadline", req.Brief()))
		}
		if ctx.Err() != nil {
			continue
		}
		for _, v := range m.selectKeys(req, a.secret) {
			m.add(v)
		}
	}
	for _, p := range asked.Dict {
		m.add(Variable{Name: p.Name, Value: NewValue(p.Value), Source: Inline})
	}
	if m.size > limit.Variables {
		return nil, fault.New(fault.Annotation, "ask for fewer or smaller secrets",
			"the variables are more than %d bytes together, and no process can have more", limit.Variables)
	}
	if err := m.errs.Err(); err != nil {
		return nil, err
	}
	return m.vars, nil
}

// Releaser is a [Source] whose answers can be given back.
type Releaser interface {
	// Release gives back what this source was leased: the container does not
	// start, or there was none. What cannot be given back is in the error.
	Release(ctx context.Context) error
}

// Release gives back what all sources were leased.
func (r *Resolver) Release(ctx context.Context) error {
	var errs []error
	for _, s := range r.Pinned {
		if l, ok := s.(Releaser); ok {
			errs = append(errs, l.Release(ctx))
		}
	}
	return errors.Join(errs...)
}

// Env gives variables as "NAME=value" strings. What it returns is not
// protected by type any more: it is for delivery alone.
func Env(vars []Variable) []string {
	env := make([]string, len(vars))
	for i, v := range vars {
		env[i] = v.Name + "=" + v.Value.Reveal()
	}
	return env
}

// answer is what came of one request.
type answer struct {
	secret *Secret
	err    error
}

// read reads every secret that is asked for once, however often it is named.
func (r *Resolver) read(ctx context.Context, requests []spec.Request) []answer {
	type place struct {
		scheme, name string
		version      int
	}
	answers := make([]answer, len(requests))
	first := map[place]int{}
	var wg sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for i, req := range requests {
		p := place{req.Scheme, req.Name, req.Version}
		if _, ok := first[p]; ok {
			continue
		}
		first[p] = i
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			answers[i].secret, answers[i].err = r.get(ctx, req)
		})
	}
	wg.Wait()
	for i, req := range requests {
		answers[i] = answers[first[place{req.Scheme, req.Name, req.Version}]]
	}
	return answers
}

func (r *Resolver) get(ctx context.Context, req spec.Request) (*Secret, error) {
	source, err := r.source(req)
	if err != nil {
		return nil, err
	}
	if chain, ok := source.(Chain); ok {
		return chain.Get(ctx, req.Name, req.Version) // which asks its sources one by one
	}
	return ask(ctx, source, req.Name, req.Version)
}

// Check reports what is wrong with asked as far as the settings alone can tell:
// sources that are not there, and variables that may not be set.
func (r *Resolver) Check(asked spec.Asked) error {
	var errs fault.List
	for _, req := range asked.Requests {
		if _, err := r.source(req); err != nil {
			errs.Add(fmt.Errorf("secret %q: %w", req.Brief(), err))
		}
		for _, k := range req.Keys {
			if err := r.Names.Check(k.Env); err != nil {
				errs.Add(fmt.Errorf("secret %q: %w", req.Brief(), err))
			}
		}
	}
	for _, p := range asked.Dict {
		if err := r.Names.Check(p.Name); err != nil {
			errs.Add(fmt.Errorf("the annotation's dict: %w", err))
		}
	}
	return errs.Err()
}

func (r *Resolver) source(req spec.Request) (Source, error) {
	if req.Scheme == "" {
		for prefix, source := range r.Reserved {
			if strings.HasPrefix(req.Name, prefix) {
				return source, nil
			}
		}
		if len(r.Chain) == 0 {
			return nil, fault.New(fault.Settings, "add a table to the settings: "+strings.Join(spec.Schemes(), ", "), "there is no source to look it up in")
		}
		return r.Chain, nil
	}
	source, ok := r.Pinned[req.Scheme]
	if !ok {
		return nil, fault.New(fault.Settings, fmt.Sprintf("add a [%s] table to the settings", req.Scheme), "the source %s is not configured", req.Scheme)
	}
	return source, nil
}

// merger applies secrets one after another.
type merger struct {
	names  spec.Names
	record *Record

	vars   []Variable
	at     map[string]int // name -> index of vars
	size   int            // of vars; they are no more than that of the first that is too much
	values map[*Secret]map[string]Value
	errs   fault.List
}

func (m *merger) fail(err error) { m.errs.Add(err) }

// selectKeys gives what req wants of its secret.
func (m *merger) selectKeys(req spec.Request, s *Secret) []Variable {
	variable := func(name string, v Value) Variable {
		return Variable{Name: name, Value: v, Source: s.Source, Secret: spec.EscapeName(req.Name), Version: s.Version, Lease: s.Lease, Age: s.Age}
	}
	var vars []Variable
	if len(req.Keys) == 0 {
		for _, e := range m.whole(req, s) {
			vars = append(vars, variable(e.Key, e.Value))
		}
		return vars
	}
	brief, values := req.Brief(), m.valuesOf(s)
	for _, k := range req.Keys {
		v, ok := values[k.Name]
		switch {
		case ok:
			vars = append(vars, variable(k.Env, v))
		case !req.Optional:
			m.fail(fault.New(fault.Missing, "", "secret %q: it is in %s, but it has no key %q", brief, s.Source, k.Name))
		}
	}
	return vars
}

// whole are the keys of a secret of which none is selected. One that it cannot set
// costs the container no other; but where it can set none, that is an error.
func (m *merger) whole(req spec.Request, s *Secret) []Entry {
	const few = 8 // as many as one line bears
	var entries []Entry
	var left, unasked []string
	for _, e := range s.Entries {
		switch {
		case m.names.Leaves(e.Key):
			left = append(left, spec.ShowKey(e.Key))
			continue
		case m.names.Unasked(e.Key):
			unasked = append(unasked, spec.ShowKey(e.Key))
		}
		entries = append(entries, e)
	}
	list := func(keys []string) string {
		if len(keys) > few {
			return fmt.Sprintf("%s and %d more", strings.Join(keys[:few], ", "), len(keys)-few)
		}
		return strings.Join(keys, ", ")
	}
	if len(left) > 0 && len(entries) == 0 {
		for _, e := range s.Entries {
			m.fail(fmt.Errorf("secret %q in %s: %w", req.Name, s.Source, spec.NotVariable(e.Key)))
		}
	} else if len(left) > 0 {
		m.record.Note("secret %q in %s: left out, for they are no shell names: %s; request them with #KEY=NAME, or set allow_any_name", req.Name, s.Source, list(left))
	}
	if len(unasked) > 0 {
		m.record.Note("secret %q in %s: the next release refuses what nobody has requested by name: %s; request it with #KEY, or list it in allow_names", req.Name, s.Source, list(unasked))
	}
	return entries
}

// valuesOf are the values of a secret by their keys. A list may pick a thousand of
// them one by one.
func (m *merger) valuesOf(s *Secret) map[string]Value {
	values, ok := m.values[s]
	if !ok {
		values = make(map[string]Value, len(s.Entries))
		for _, e := range s.Entries {
			values[e.Key] = e.Value
		}
		m.values[s] = values
	}
	return values
}

// maxOverrides is how many of the values that a variable had before are told: the
// last ones.
const maxOverrides = 8

// add applies one variable; a later one of the same name wins.
func (m *merger) add(v Variable) {
	if m.size > limit.Variables {
		return
	}
	err := m.names.Check(v.Name)
	if err == nil {
		err = spec.CheckVariable(v.Name, v.Value.Reveal())
	}
	if err != nil {
		from := "the annotation's dict"
		if v.Source != Inline {
			from = fmt.Sprintf("secret %q in %s", v.Secret, v.Source)
		}
		m.fail(fmt.Errorf("%s: %w", from, err))
		return
	}
	if m.at == nil {
		m.at = map[string]int{}
	}
	m.size += limit.Variable(v.Name, v.Value.Reveal())
	if i, ok := m.at[v.Name]; ok {
		m.size -= limit.Variable(v.Name, m.vars[i].Value.Reveal())
		v.Overrides = append(m.vars[i].Overrides, m.vars[i].origin())
		v.Overrides = v.Overrides[max(len(v.Overrides)-maxOverrides, 0):]
		m.vars[i] = v
		return
	}
	m.at[v.Name] = len(m.vars)
	m.vars = append(m.vars, v)
}
