// SPDX-License-Identifier: Apache-2.0

// Package inflight puts variables into the environment of a container's first
// process between the moment the runtime has set the container up and the
// moment the program begins to run. Nothing is written to config.json, nor to
// anything that an engine keeps.
//
// The work is done by a small process of its own, described in package tracer:
// this package proves that a pid is a container's init waiting for this hook
// ([Find]), starts the tracer ([Target.Trace]), hands it the variables over a
// pipe, and waits until it has hold of the process ([Tracer.Deliver]). The hook
// may exit then.
//
// It knows nothing of secrets, and it does not protect against root on the
// host, nor against the container's own program giving its environment away.
package inflight

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"

	"github.com/oci-secrets/oci-secrets/hook/inflight/tracer"
	"github.com/oci-secrets/oci-secrets/hook/printable"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// bySpec is the way out for every container that the runtime shim can start.
const bySpec = "the runtime shim with delivery = { runc = \"spec\" } in the settings (the runtime's name) needs no tracing"

// otherwise is the hint that goes with every place where in-flight delivery
// cannot work.
const otherwise = bySpec + "; podman can use `oci-secrets precreate` instead"

// Tracer is a started tracer that has not been told yet what to deliver. It
// touches nothing until then. It must be closed.
type Tracer struct {
	target  *Target
	cmd     *exec.Cmd
	payload *os.File // write: what to deliver
	status  *os.File // read: the answer
	done    bool
}

// Trace starts a tracer for the process, so that the values which are still to
// be resolved need not wait for it. container is only for the tracer's command
// line and its log messages.
func (t *Target) Trace(container string) (*Tracer, error) {
	payloadR, payloadW, err := os.Pipe()
	if err != nil {
		return nil, fault.New(fault.Delivery, "", "make a pipe for the tracer: %w", err)
	}
	statusR, statusW, err := os.Pipe()
	if err != nil {
		_ = errors.Join(payloadR.Close(), payloadW.Close())
		return nil, fault.New(fault.Delivery, "", "make a pipe for the tracer: %w", err)
	}
	// Not exec.CommandContext: the tracer outlives this process.
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{tracer.Argv0, printable.Line(container)}
	cmd.Env = tracer.Env // and nothing of the hook's
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.ExtraFiles = []*os.File{payloadR, statusW, t.pidfd} // 3, 4, 5
	err = cmd.Start()
	_ = errors.Join(payloadR.Close(), statusW.Close())
	tr := &Tracer{target: t, cmd: cmd, payload: payloadW, status: statusR}
	if err != nil {
		tr.done = true
		tr.Close()
		return nil, fault.New(fault.Delivery, "", "start the tracer: %w", err)
	}
	return tr, nil
}

// Deliver arranges for the process to get vars, "NAME=value" strings, at its
// exec: one that is in its environment already is replaced in place, the
// others are appended. When Deliver returns nil, the process cannot run without
// them any more: it gets them or it dies. When it returns an error, or ctx ends
// first, the tracer is gone, and with it the process where it had been seized;
// the caller's runtime must refuse the container.
func (tr *Tracer) Deliver(ctx context.Context, vars []string) error {
	payload := pack(tr.target.pid, vars)
	defer clear(payload)
	stop := context.AfterFunc(ctx, func() { _ = tr.cmd.Process.Kill() })
	defer stop()

	// A tracer that ended early makes this write fail; it has said why.
	_, writeErr := tr.payload.Write(payload)
	_ = tr.payload.Close()
	answer, err := io.ReadAll(io.LimitReader(tr.status, 4096))
	if stop() && err == nil && len(answer) == 1 && answer[0] == byte(tracer.Attached) {
		tr.done = true // it is nobody's child from here on
		return nil
	}
	if ctx.Err() != nil {
		return fault.New(fault.Delivery, "", "the tracer did not take hold of process %d in time: %w", tr.target.pid, ctx.Err())
	}
	if len(answer) > 1 {
		_ = tr.cmd.Wait() // what it held is let go or dead only then
		return tr.target.explain(tracer.Status(answer[0]), string(answer[1:]))
	}
	return fault.New(fault.Delivery, "", "the tracer ended without a word: %w", errors.Join(err, writeErr, tr.cmd.Wait()))
}

// Close ends a tracer that did not deliver.
func (tr *Tracer) Close() {
	_ = errors.Join(tr.payload.Close(), tr.status.Close())
	if !tr.done {
		_ = tr.cmd.Process.Kill()
		_ = tr.cmd.Wait()
	}
}

// explain turns the tracer's answer into a fault.
func (t *Target) explain(status tracer.Status, why string) error {
	switch status {
	case tracer.Gone:
		return fault.New(fault.Document, "", "process %d: %s", t.pid, why)
	case tracer.Attached, tracer.Forbidden: // below; the first is no failure
	case tracer.TooLarge:
		return fault.New(fault.Annotation, "ask for fewer or smaller secrets; or raise RLIMIT_STACK, of the container or, where the runtime sets that after its hooks, of the runtime",
			"process %d: %s", t.pid, why)
	case tracer.Unlocked:
		return fault.New(fault.Delivery, "raise RLIMIT_MEMLOCK for the engine, or ask for fewer or smaller secrets", "the tracer cannot %s", why)
	}
	if by := tracerOf(t.pid); by != "0" {
		return fault.New(fault.Delivery, "list the hook once, under createRuntime or prestart", "process %d is traced by process %s already", t.pid, by)
	}
	hint := otherwise
	if b, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope"); err == nil && len(b) > 0 && b[0] == '3' {
		hint = "kernel.yama.ptrace_scope is 3, which forbids tracing until the next boot; " + otherwise
	}
	return fault.New(fault.Delivery, hint, "process %d: %s", t.pid, why)
}

// pack makes what the tracer reads: a header, then each variable with its NUL.
func pack(pid int, vars []string) []byte {
	size := 0
	for _, v := range vars {
		size += len(v) + 1
	}
	b := make([]byte, 0, tracer.HeaderSize+size)
	b = binary.LittleEndian.AppendUint32(b, uint32(pid))  // a pid has 22 bits
	b = binary.LittleEndian.AppendUint32(b, uint32(size)) // bounded by the annotation contract
	for _, v := range vars {
		b = append(append(b, v...), 0)
	}
	return b
}
