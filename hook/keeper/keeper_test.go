// SPDX-License-Identifier: Apache-2.0

package keeper

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/resolver/lease"
	"github.com/oci-secrets/oci-secrets/resolver/memory"
	"github.com/oci-secrets/oci-secrets/resolver/memory/place"
	"github.com/oci-secrets/oci-secrets/resolver/process"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// patience bounds what is waited for.
const patience = 20 * time.Second

func inMemory(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("test", dir, "tmpfs", 0, "mode=0700"); err != nil {
		t.Skipf("mount a tmpfs: %v: run it as root", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// server has leases, each with the time it ends at, and the time that it cannot
// be extended beyond.
type server struct {
	mu      sync.Mutex
	ends    map[string]time.Duration
	max     map[string]time.Duration
	renewed map[string]int
	stays   map[string]int // by session
	logins  time.Duration  // when they end; 0 for never
	err     error          // for all that is asked
	failing string         // what ids begin with that fail
	asked   int
}

type connection struct {
	*server
	session string
}

func (c connection) Renew(_ context.Context, id string, asked time.Duration) (time.Duration, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	now := memory.Now()
	switch ends, ok := c.ends[id]; {
	case c.err != nil:
		return 0, false, c.err
	case c.failing != "" && strings.HasPrefix(id, c.failing):
		return 0, false, fault.New(fault.Unreachable, "", "its database is gone")
	case !ok || ends < now:
		return 0, false, fmt.Errorf("%w: not found", lease.ErrLost)
	}
	ttl := asked
	if most, ok := c.max[id]; ok && now+ttl > most {
		ttl = (most - now).Truncate(time.Second)
	}
	c.ends[id] = now + ttl
	c.renewed[id]++
	return ttl, true, nil
}

func (c connection) Revoke(_ context.Context, id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	if c.err == nil {
		delete(c.ends, id)
	}
	return c.err
}

func (c connection) Stay(context.Context) (time.Duration, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stays[c.session]++
	if c.logins != 0 {
		return c.logins, nil // it is not asked for that
	}
	return 0, c.err
}

func (s *server) broken(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *server) has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ends[id] > memory.Now()
}

func (s *server) renewals(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.renewed[id]
}

// rig is a keeper that runs.
type rig struct {
	*server
	t    *testing.T
	dir  string
	stop func()
	// first is what the first connection leads to; nil for the server.
	first *server
	mu    sync.Mutex
	log   []string
}

func newRig(t *testing.T) *rig {
	return &rig{t: t, dir: inMemory(t), server: &server{
		ends: map[string]time.Duration{}, max: map[string]time.Duration{}, renewed: map[string]int{}, stays: map[string]int{},
	}}
}

func (r *rig) keeper(stop bool) *Keeper {
	return &Keeper{
		Dir: r.dir, Stop: stop,
		Open: func(session string) (lease.Server, error) {
			s := r.server
			if r.first != nil {
				s, r.first = r.first, nil
			}
			return connection{s, session}, nil
		},
		Log: func(format string, args ...any) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.log = append(r.log, fmt.Sprintf(format, args...))
		},
	}
}

// run runs a keeper until the test's end, or until stop is called.
func (r *rig) run(stop bool) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.keeper(stop).Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				r.t.Error(err)
			}
		case <-time.After(patience):
			r.t.Error("the keeper does not end")
		}
	})
	r.t.Cleanup(r.stop)
}

// lease leases something to a container whose first process is pid.
func (r *rig) lease(id string, pid int, ttl time.Duration, change func(*lease.Record)) {
	r.t.Helper()
	started, err := process.Started(pid)
	if err != nil {
		r.t.Fatal(err)
	}
	rec := lease.Record{
		Container: "c-" + id, Bundle: "/bundle", Pid: pid, Started: started, ID: id, Path: "database/creds/web",
		Issued: memory.Now(), Asked: ttl, TTL: ttl, Renewable: true, Session: "key",
	}
	if change != nil {
		change(&rec)
	}
	r.server.mu.Lock()
	r.ends[id] = rec.Expires()
	r.server.mu.Unlock()
	if err := lease.Put(r.dir, rec); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) lines(text string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, line := range r.log {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func (r *rig) want(text string, n int) {
	r.t.Helper()
	if got := r.lines(text); got != n {
		r.t.Errorf("%d lines with %q, want %d, in %q", got, text, n, r.log)
	}
}

func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) { // between polls
		if time.Now().After(deadline) {
			r.t.Fatalf("not within %v: %s; the log is %q", patience, what, r.log)
		}
	}
}

func (r *rig) records() int {
	r.t.Helper()
	list, err := lease.List(r.dir)
	if err != nil {
		r.t.Fatal(err)
	}
	return len(list)
}

// child starts a process that says when it is ready, and lives until it is told
// to end.
func child(t *testing.T, script string) (pid int, ended chan struct{}) {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	ended = make(chan struct{})
	go func() {
		_ = cmd.Wait() // by a signal
		close(ended)
	}()
	t.Cleanup(func() {
		_ = errors.Join(in.Close(), cmd.Process.Kill())
		<-ended
	})
	return cmd.Process.Pid, ended
}

const (
	obedient = "echo; read -r x"
	stubborn = "trap '' TERM; echo; read -r x"
)

func TestRenewsAndRevokes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.run(false)
	pid, ended := child(t, obedient)
	r.lease("a", pid, 2*time.Second, nil)
	r.lease("b", os.Getpid(), 2*time.Second, nil)
	begun := memory.Now()
	r.eventually("both live past their first TTL", func() bool {
		return memory.Now() > begun+3*time.Second && r.renewals("a") > 1 && r.renewals("b") > 1
	})
	if !r.has("a") || !r.has("b") {
		t.Error("a lease has ended")
	}
	if list, err := lease.List(r.dir); err != nil || len(list) != 2 || list[0].Issued <= begun || list[0].TTL != 2*time.Second {
		t.Errorf("recorded are %+v, %v", list, err)
	}
	r.server.mu.Lock()
	if r.stays["key"] == 0 || r.asked > 40 {
		t.Errorf("logins were seen to %v times, %d requests", r.stays, r.asked)
	}
	r.server.mu.Unlock()
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-ended
	r.eventually("the lease of the dead is revoked", func() bool { return !r.has("a") && r.records() == 1 })
	if !r.has("b") {
		t.Error("the other one is, too")
	}
	// It is told when the record is gone already.
	const told = "container c-a is gone: its lease of database/creds/web is revoked"
	r.eventually("it is told", func() bool { return r.lines(told) > 0 })
	r.want("", 1)

	// It ends without a trace, and another one goes on.
	r.stop()
	if !r.has("b") {
		t.Error("a lease ended with the keeper")
	}
	n := r.renewals("b")
	r.run(false)
	r.eventually("the next one renews", func() bool { return r.renewals("b") > n })
}

// TestDiesWhileRenewed has a container that ends while its lease is renewed.
func TestDiesWhileRenewed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	pid, ended := child(t, obedient)
	r.lease("a", pid, time.Hour, func(l *lease.Record) { l.Issued -= 40 * time.Minute })
	k := r.keeper(false)
	k.begin()
	// What was begun is settled only when the next step has seen the end.
	settle := func() {
		for ; k.jobs > 0; k.jobs-- {
			(<-k.done)()
		}
	}
	now := memory.Now()
	k.look(now)
	k.step(t.Context(), now)
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-ended
	k.step(t.Context(), now)
	settle()
	if n := r.renewals("a"); n != 1 {
		t.Fatalf("it was renewed %d times", n)
	}
	k.step(t.Context(), now+headStart)
	settle()
	if r.has("a") || r.records() != 0 {
		t.Error("the lease lives on")
	}
}

// TestPoststopIsFirst has a hook that revokes at its time.
func TestPoststopIsFirst(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.run(false)
	pid, ended := child(t, obedient)
	r.lease("a", pid, time.Minute, nil)
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-ended
	list, err := lease.List(r.dir)
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	time.Sleep(poll) // in which it sees that the container is gone
	if err := lease.Remove(r.dir, list[0]); err != nil {
		t.Fatal(err)
	}
	time.Sleep(headStart) // after which it would revoke
	if !r.has("a") || len(r.log) != 0 {
		t.Errorf("the keeper revoked what the hook had: %q", r.log)
	}
}

func TestOneKeeper(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.run(false)
	r.lease("a", os.Getpid(), 2*time.Second, nil)
	r.eventually("the first one works", func() bool { return r.renewals("a") > 0 })
	if err := r.keeper(false).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "a keeper already") {
		t.Errorf("the second one: %v", err)
	}
}

// TestBeforeTheDirectory has the keeper started before any container.
func TestBeforeTheDirectory(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.dir = filepath.Join(r.dir, "later")
	r.run(false)
	time.Sleep(poll / 2)
	if err := os.Mkdir(r.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("test", r.dir, "tmpfs", 0, "mode=0700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(r.dir, unix.MNT_DETACH) })
	r.lease("a", os.Getpid(), 4*time.Second, nil)
	r.eventually("it renews", func() bool { return r.renewals("a") > 0 })
}

func TestServerIsGone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.broken(fault.New(fault.Unreachable, "", "nobody there"))
	pid, ended := child(t, obedient)
	for i := range 20 {
		r.lease(fmt.Sprint(i), os.Getpid(), 8*time.Second, nil)
	}
	r.lease("dead", pid, time.Minute, nil)
	r.run(false)
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-ended
	r.eventually("it notices", func() bool { return r.lines("does not answer") > 0 })
	time.Sleep(2 * time.Second) // in which it asks again
	r.server.mu.Lock()
	asked := r.asked
	r.server.mu.Unlock()
	if asked > 15 {
		t.Errorf("it asked %d times", asked)
	}
	r.broken(nil)
	r.eventually("all are renewed", func() bool {
		for i := range 20 {
			if r.renewals(fmt.Sprint(i)) == 0 {
				return false
			}
		}
		return !r.has("dead")
	})
	r.want("Vault does not answer; leases are renewed and revoked when it does: nobody there", 1)
	r.want("Vault answers again", 1)
}

// TestLoginIsNotAnAnswer has a login that needs no renewal, while no server
// answers: that says nothing of the server.
func TestLoginIsNotAnAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.logins = memory.Now() + time.Hour
	counts := func() (asked, stays int) {
		r.server.mu.Lock()
		defer r.server.mu.Unlock()
		return r.asked, r.stays["key"]
	}
	r.broken(fault.New(fault.Refused, "", "not you"))
	r.lease("a", os.Getpid(), time.Minute, func(l *lease.Record) { l.Issued -= 40 * time.Second })
	r.run(false)
	r.eventually("it was refused twice, and waits", func() bool { n, _ := counts(); return n == 2 })
	r.broken(fault.New(fault.Unreachable, "", "nobody there"))
	r.eventually("it notices", func() bool { return r.lines("Vault does not answer") == 1 })
	_, before := counts()
	r.eventually("it sees to the login", func() bool { _, n := counts(); return n > before+1 })
	r.want("Vault answers again", 0)
	r.broken(nil)
	r.eventually("it says so", func() bool { return r.lines("Vault answers again") == 1 })
	r.want("Vault does not answer", 1)
}

// TestLoginEnds has a login that cannot be renewed any more: its leases end with
// it, whatever is said of them.
func TestLoginEnds(t *testing.T) {
	for name, ttl := range map[string]time.Duration{"before the lease": time.Minute, "after renewals": 2 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.logins = memory.Now() + 5*time.Second
			pid, ended := child(t, obedient)
			stubborn, killed := child(t, stubborn)
			r.lease("a", pid, ttl, nil)
			r.lease("b", stubborn, ttl, nil)
			r.run(true)
			for _, ended := range []chan struct{}{ended, killed} {
				select {
				case <-ended:
				case <-time.After(patience):
					t.Fatalf("a container lives on; the log is %q", r.log)
				}
			}
			if now := memory.Now(); now > r.logins+2*poll {
				t.Errorf("it lived %v longer than its login", now-r.logins)
			}
			r.want("with the login that it was made with, which cannot be renewed: it is stopped before", 2)
			r.want("is told to stop", 2)
			r.want("c-b: it has not stopped", 1)
		})
	}
}

// TestOneDatabaseIsGone has leases that fail, and one that would not.
func TestOneDatabaseIsGone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.failing = "bad-"
	for i := range 300 {
		r.lease(fmt.Sprint("bad-", i), os.Getpid(), 2*time.Minute, func(l *lease.Record) {
			l.Issued -= 80 * time.Second
			l.Path = "database/creds/other"
		})
	}
	r.run(false)
	r.eventually("most have failed", func() bool {
		r.server.mu.Lock()
		defer r.server.mu.Unlock()
		return r.asked > 8
	})
	r.lease("good", os.Getpid(), time.Minute, func(l *lease.Record) { l.Issued -= 40 * time.Second })
	r.eventually("the good one is renewed", func() bool { return r.renewals("good") > 0 })
}

// TestPauses has what is tried again in vain: soon where time may mend it, and not
// so often where it takes a person.
func TestPauses(t *testing.T) {
	for class, most := range map[fault.Class]time.Duration{fault.Unreachable: longest, fault.Refused: refused} {
		k := &Keeper{troubles: map[string]bool{}, failures: map[string]int{}, Log: func(string, ...any) {}}
		h := &held{Record: lease.Record{Issued: memory.Now(), TTL: time.Hour}}
		for range 12 {
			k.failed(h, "revoked", fault.New(class, "", "no"))
		}
		if wait := h.due - memory.Now(); wait > most || wait < most-time.Second {
			t.Errorf("%v: it waits %v", class, wait)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.broken(fault.New(fault.Refused, "a policy", "not you"))
	for i := range 5 {
		r.lease(fmt.Sprint(i), os.Getpid(), 8*time.Second, nil)
	}
	r.run(false)
	r.eventually("all were tried again", func() bool {
		r.server.mu.Lock()
		defer r.server.mu.Unlock()
		return r.asked > 10
	})
	r.broken(nil)
	r.eventually("all are renewed", func() bool {
		return r.renewals("0")*r.renewals("1")*r.renewals("2")*r.renewals("3")*r.renewals("4") > 0
	})
	r.eventually("it says so", func() bool { return r.lines("over: leases are not renewed") > 0 })
	r.want("leases are not renewed: not you; hint: a policy", 2) // the second one says that it is over
}

// TestRefusedAndLost has a lease end for what is wrong: that is not over then, and
// the next lease with it is told of again.
func TestRefusedAndLost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i, id := range []string{"a", "b"} {
		r.broken(fault.New(fault.Refused, "", "no database"))
		r.lease(id, os.Getpid(), 4*time.Second, nil)
		if i == 0 {
			r.run(false)
		}
		r.eventually("it is told", func() bool { return r.lines("not renewed: no database") == i+1 })
		r.server.mu.Lock()
		delete(r.ends, id)
		r.err = nil
		r.server.mu.Unlock()
		r.eventually("it is lost", func() bool { return r.lines("c-"+id+": its lease of database/creds/web has ended") == 1 })
		r.want("over", 0)
	}
}

// TestOpensAgain has something wrong that a server is opened with, such as a
// certificate that has expired since.
func TestOpensAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.first = &server{stays: map[string]int{}, err: fault.New(fault.Refused, "", "expired")}
	r.lease("a", os.Getpid(), 8*time.Second, nil)
	r.run(false)
	r.eventually("it renews", func() bool { return r.renewals("a") > 0 })
}

func TestBrokenRecord(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.lease("a", os.Getpid(), 2*time.Second, nil)
	if err := os.WriteFile(filepath.Join(r.dir, place.Lease("c-a"), "garbage"), []byte("\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.run(false)
	r.eventually("the good one is renewed", func() bool { return r.renewals("a") > 1 })
	r.want("garbage cannot be read", 1)
}

// TestDirectoryIsAway has the state directory be none for a while, and again.
func TestDirectoryIsAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.lease("a", os.Getpid(), 3*time.Second, nil)
	r.run(false)
	r.eventually("it renews", func() bool { return r.renewals("a") > 0 })
	for n := range 2 {
		if err := os.Chmod(r.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		r.eventually("it is told", func() bool { return r.lines("the records of leases cannot be read") == 2*n+1 })
		if err := os.Chmod(r.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		r.eventually("it is over", func() bool { return r.lines("over: the records of leases cannot be read") == n+1 })
	}
	renewed := r.renewals("a")
	r.eventually("it is renewed", func() bool { return r.renewals("a") > renewed })
}

func TestEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		stop   bool
		script string
		change func(*rig, *lease.Record)
		dies   bool
		want   map[string]int
	}{
		"max_ttl, warn": {false, obedient, func(r *rig, l *lease.Record) { r.max[l.ID] = l.Issued + 5*time.Second }, false, map[string]int{
			"cannot be renewed: its credentials end then": 1, "has ended": 1,
		}},
		"not renewable, warn": {false, obedient, func(_ *rig, l *lease.Record) { l.Renewable = false }, false, map[string]int{
			"cannot be renewed: its credentials end then": 1, "has ended": 1,
		}},
		"max_ttl, stop": {true, obedient, func(r *rig, l *lease.Record) { r.max[l.ID] = l.Issued + 5*time.Second }, true, map[string]int{
			"cannot be renewed: it is stopped before": 1, "told to stop": 1, "is killed": 0,
		}},
		"max_ttl, stop a stubborn one": {true, stubborn, func(r *rig, l *lease.Record) { r.max[l.ID] = l.Issued + 5*time.Second }, true, map[string]int{
			"cannot be renewed: it is stopped before": 1, "told to stop": 1, "is killed": 1,
		}},
		"lost, stop": {true, stubborn, func(r *rig, l *lease.Record) { l.ID = "unknown" }, true, map[string]int{"told to stop": 1, "is killed": 1}},
		"lost, warn": {false, obedient, func(r *rig, l *lease.Record) { l.ID = "unknown" }, false, map[string]int{"has ended": 1}},
		"nobody to stop": {true, obedient, func(_ *rig, l *lease.Record) { l.Renewable, l.Pid, l.Started, l.Bundle = false, 0, "", "/" }, false, map[string]int{
			"no process on this kernel": 1, "is killed": 1,
		}},
		"another's pid": {true, obedient, func(_ *rig, l *lease.Record) { l.Renewable, l.Started = false, l.Started+"0" }, false, map[string]int{
			"is revoked": 1, "told to stop": 0,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			pid, ended := child(t, tt.script)
			r.lease("a", pid, 4*time.Second, func(l *lease.Record) { tt.change(r, l) })
			r.server.mu.Lock()
			delete(r.ends, "unknown")
			r.server.mu.Unlock()
			r.run(tt.stop)
			if tt.dies {
				select {
				case <-ended:
				case <-time.After(patience):
					t.Fatalf("the container lives on; the log is %q", r.log)
				}
			}
			r.eventually("it is told", func() bool {
				for text, n := range tt.want {
					if r.lines(text) < n {
						return false
					}
				}
				return true
			})
			time.Sleep(poll + poll/2) // nothing is told twice
			for text, n := range tt.want {
				r.want(text, n)
			}
			if !tt.dies && unix.Kill(pid, 0) != nil {
				t.Errorf("the container was stopped; the log is %q", r.log)
			}
		})
	}
}
