// SPDX-License-Identifier: Apache-2.0

package start

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-secrets/oci-secrets/hook/delivery"
	"github.com/oci-secrets/oci-secrets/hook/inflight"
	"github.com/oci-secrets/oci-secrets/hook/keep"
	"github.com/oci-secrets/oci-secrets/hook/syslog"
	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/spec"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// handlers are the annotations by which crun is told to run the program in
// another way than by an exec in the process that the hook is shown (crun.1).
var handlers = []string{"run.oci.handler", "module.wasm.image/variant"}

// Redirected is the error of a hook whose standard streams may be files that the
// container's author chose. Nothing of what it says may be written there.
type Redirected struct{ error }

func (r Redirected) Unwrap() error { return r.error }

// Hook delivers to the container whose state a runtime wrote to the hook's
// standard input. Most of what there is to do at poststop package pass has done.
func (s *Start) Hook(ctx context.Context, state []byte) error {
	err := s.hook(ctx, state)
	if err == nil {
		return nil
	}
	if doc, unread := spec.ParseDoc(state); unread == nil && doc.Redirects() {
		return Redirected{err}
	}
	return err
}

func (s *Start) hook(ctx context.Context, state []byte) error {
	if st := ended(state); st != nil {
		return s.poststop(ctx, st)
	}
	st, annotations, err := parseState(state)
	if err != nil {
		return err
	}
	if len(annotations) == 0 { // a runtime may leave them out of the state
		if annotations, err = bundleAnnotations(st.Bundle); err != nil {
			return err
		}
	}
	asked, err := Asked(annotations, st.ID)
	if err == nil && asked.None() {
		return nil
	}
	return s.Tell(ctx, delivery.Hook, st.ID, asked, func(ctx context.Context) error {
		if err != nil {
			return s.refuse(ctx, err)
		}
		return s.inFlight(ctx, st, asked)
	})
}

// inFlight delivers what the container of a state asks for.
func (s *Start) inFlight(ctx context.Context, st *specs.State, asked spec.Asked) (err error) {
	if st.Status == specs.StateRunning {
		return s.refuse(ctx, fault.New(fault.Delivery, "list the hook under createRuntime or prestart", "the container's program runs already: this is the poststart stage"))
	}
	LockMemory() // a token may be in the settings
	r, deadline, err := s.open(ctx, resolver.Container{ID: st.ID, Bundle: st.Bundle, Pid: st.Pid, Spec: func() (*spec.Doc, error) {
		doc, _, err := ReadBundle(st.Bundle)
		return doc, err
	}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	target, err := inflight.Find(st.Pid)
	if err != nil {
		return err
	}
	defer target.Close()
	// The tracer gets ready while the sources are asked.
	tracer, err := target.Trace(st.ID)
	if err != nil {
		return err
	}
	defer tracer.Close()
	defer func() {
		if err != nil {
			s.GiveBack(ctx, st.ID)
		}
	}()
	vars, err := s.resolve(ctx, r, asked)
	if err != nil {
		return err
	}
	env := resolver.Env(vars)
	if len(env) > 0 {
		ended := resolver.RecordOf(ctx).Phase("deliver")
		err := tracer.Deliver(ctx, env)
		ended()
		if err != nil {
			return err
		}
	}
	if s.Keep != "" { // not before it is known that they fit
		// Without it exec asks the sources again; that is no reason to refuse.
		if err := keep.Put(s.Keep, keep.Container{ID: st.ID, Bundle: st.Bundle}, st.Pid, env); err != nil {
			syslog.Error("container " + st.ID + ": its variables are not kept for exec: " + err.Error())
		}
	}
	return nil
}

// Asked is what annotations ask for, of a container that the hook can deliver
// to as far as they tell. The id is the container's, "" where it is not known. A
// pod's sandbox gets nothing of what they ask, which is logged.
func Asked(annotations map[string]string, id string) (spec.Asked, error) {
	asked, err := spec.Parse(annotations)
	if (err != nil || !asked.None()) && spec.IsSandbox(annotations, id) {
		syslog.Info("container " + id + ": it is a pod's sandbox by its annotations, and gets nothing of what they ask for")
		return spec.Asked{}, nil
	}
	if err != nil || asked.None() {
		return asked, err
	}
	for _, h := range handlers {
		if v, ok := annotations[h]; ok {
			return spec.Asked{}, fault.New(fault.Delivery, "take the annotation away", "the annotation %s is %q, and such a program is not started by an exec", h, v)
		}
	}
	return asked, nil
}

// ended gives the state of a container that has stopped, or nil. What else may be
// wrong with the state is no reason to fail a poststop.
func ended(state []byte) *specs.State {
	var st struct {
		ID     string               `json:"id"`
		Status specs.ContainerState `json:"status"`
		Bundle string               `json:"bundle"`
	}
	_ = json.Unmarshal(state, &st) // which goes on where a type is wrong
	if st.Status != specs.StateStopped {
		return nil
	}
	return &specs.State{ID: st.ID, Status: st.Status, Bundle: st.Bundle}
}

// parseState reads what the hook needs of a state, and its annotations by the
// rules of the contract. The rest is the runtime's business.
func parseState(b []byte) (*specs.State, map[string]string, error) {
	const hint = "a runtime writes the state to its hooks; see `oci-secrets hook-config` for how to list this one"
	doc, err := spec.ParseDoc(b)
	if err != nil {
		return nil, nil, fault.New(fault.Document, hint, "read the state on standard input: %w", err)
	}
	annotations, err := doc.Annotations()
	if err != nil {
		return nil, nil, fault.New(fault.Document, "", "read the state on standard input: %w", err)
	}
	type State struct { // the name is in the errors
		ID     string               `json:"id"`
		Status specs.ContainerState `json:"status"`
		Pid    int                  `json:"pid"`
		Bundle string               `json:"bundle"`
	}
	var st State
	if err := json.Unmarshal(b, &st); err != nil {
		return nil, nil, fault.New(fault.Document, hint, "the JSON on standard input is not a container's state: %w", err)
	}
	return &specs.State{ID: st.ID, Status: st.Status, Pid: st.Pid, Bundle: st.Bundle}, annotations, nil
}

func bundleAnnotations(bundle string) (map[string]string, error) {
	if bundle == "" {
		return nil, fault.New(fault.Document, "", "the state has neither annotations nor a bundle")
	}
	_, annotations, err := ReadBundle(bundle)
	return annotations, err
}

// ReadBundle reads the config.json of a bundle, and the annotations in it.
func ReadBundle(dir string) (*spec.Doc, map[string]string, error) {
	path := filepath.Join(dir, "config.json")
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fault.New(fault.Document, "", "read the bundle: %w", err)
	}
	doc, err := spec.ParseDoc(b)
	if err != nil {
		return nil, nil, fault.New(fault.Document, "", "read %s: %w", path, err)
	}
	annotations, err := doc.Annotations()
	if err != nil {
		return nil, nil, fault.New(fault.Document, "", "read %s: %w", path, err)
	}
	return doc, annotations, nil
}
