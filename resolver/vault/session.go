// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/memory"
)

// session is what a Source has of its login, and what it learnt of the mount.
type session struct {
	hostMu sync.Mutex
	host   *host  // nil before it is needed, and where there is none
	key    string // of the token there; "" before it is needed

	mu      sync.Mutex
	login   *step[*kept] // nil until it is needed, and where it has to be done again
	mount   *step[mount]
	opened  *opening
	name    string      // of the token, for Session
	refused *kept       // the token that the server did not want
	dead    bool        // it said that it does not know it
	again   bool        // there was a second login: there is no third
	ask     bool        // what the host remembers of the mount was doubted
	learnt  mountRecord // what the host was told last
}

// slotOf is that of one of the session's steps.
func slotOf[T any](s *session, at **step[T]) slot[T] {
	return slot[T]{mu: &s.mu, get: func() *step[T] { return *at }, put: func(st *step[T]) { *at = st }}
}

// opening is a Source that is logged in. Only [Source.open] asks for the mount.
type opening struct {
	kv    int // version of the engine: 1 or 2
	login *step[*kept]
	mount *step[mount]
	last  bool // there is no other login to try
	young bool // another login would give what this one did
}

// renewAfter is how old a token must be for a new one to be tried where the
// policies of this one do not allow something: those of the role may have been
// changed since. It bounds the logins of containers that ask again and again for
// what they may not read.
const renewAfter = 30 * time.Second

// final reports whether no other login would give another answer than 403. A
// token that the server does not know is dead, however young it is.
func (o *opening) final(dead bool) bool { return o.last || o.young && !dead }

// login logs in, or finds that somebody has.
func (s *Source) login(ctx context.Context) (*opening, error) {
	st, err := once(ctx, slotOf(&s.session, &s.session.login), "the login", func() (*kept, error) { return s.begin(ctx) })
	if err == nil && (st.value.due() || !st.value.usable()) {
		// It is a while ago.
		s.drop(st)
		st, err = once(ctx, slotOf(&s.session, &s.session.login), "the login", func() (*kept, error) { return s.begin(ctx) })
	}
	if err != nil {
		return nil, err
	}
	s.session.mu.Lock()
	defer s.session.mu.Unlock()
	return &opening{
		login: st,
		last:  st.value.own || s.session.again || s.config.Session != "",
		young: !s.config.Fresh && memory.Now()-st.value.obtained < renewAfter,
	}, nil
}

func (s *Source) begin(ctx context.Context) (*kept, error) {
	defer resolver.RecordOf(ctx).Phase("login")()
	if err := s.servers.connect(s.config); err != nil {
		return nil, err
	}
	if known := s.known(ctx); known.Address != "" {
		s.servers.prefer(known.Address)
	}
	s.session.mu.Lock()
	refused, dead := s.session.refused, s.session.dead
	s.session.mu.Unlock()
	k, err := s.token(ctx, refused, dead)
	if err != nil {
		return nil, err
	}
	s.servers.setToken(k.token)
	name := s.sessionOf(ctx, k)
	s.session.mu.Lock()
	s.session.name = name
	s.session.mu.Unlock()
	return k, nil
}

// open logs in and finds out what is mounted.
func (s *Source) open(ctx context.Context) (*opening, error) {
	for {
		o, err := s.login(ctx)
		if err != nil {
			return nil, err
		}
		o.mount, err = once(ctx, slotOf(&s.session, &s.session.mount), "the look at the mount", func() (mount, error) { return s.mounted(ctx, o) })
		if err == nil {
			return s.opened(o), nil
		}
		dead := errors.Is(err, errInvalidToken)
		if !denied(err) || o.final(dead) || o.mount == nil {
			return nil, err
		}
		s.doubt(o, http.StatusForbidden, dead)
	}
}

// opened gives o, or the one that is the same: what was read with it counts.
func (s *Source) opened(o *opening) *opening {
	o.kv = o.mount.value.kv
	s.session.mu.Lock()
	defer s.session.mu.Unlock()
	if last := s.session.opened; last == nil || last.login != o.login || last.mount != o.mount {
		s.session.opened = o
	}
	return s.session.opened
}

// doubtful reports whether an answer of that status may be due to what the host
// remembered, and not to what was asked: another login, or another look at the
// mount, could give another one.
func (o *opening) doubtful(status int, dead bool) bool {
	remembered := o.mount != nil && o.mount.value.remembered
	switch status {
	case http.StatusForbidden:
		return remembered || !o.final(dead)
	case http.StatusNotFound, http.StatusBadRequest:
		return remembered
	}
	return false
}

// doubted is the error of a read whose answer is [opening.doubtful]: what it is
// if that was due to nothing but what was asked, and why it may not be.
type doubted struct {
	error
	status int
	dead   bool // the server does not know the token
}

// doubt takes back what o was opened with, so that the next one to ask finds out
// anew. Of several with the same doubt only the first has an effect.
func (s *Source) doubt(o *opening, status int, dead bool) {
	s.session.mu.Lock()
	defer s.session.mu.Unlock()
	if status == http.StatusForbidden && !o.final(dead) && s.session.login == o.login {
		s.session.login, s.session.refused, s.session.dead, s.session.again = nil, o.login.value, dead, true
	}
	if m := o.mount; m != nil && s.session.mount == m && (m.err != nil || m.value.remembered) {
		s.session.mount, s.session.ask = nil, true
	}
}

// lookUp gives the secret at p. It goes by what the host remembers, and where the
// answer may be due to that, it asks once more by what is so now.
func (s *Source) lookUp(ctx context.Context, p string, version int) (*resolver.Secret, error) {
	var before *opening // with which the answer was doubted
	var doubt doubted
	for { // at most once more for the login, and once for the mount
		if err := s.refusedRead(ctx, s.config.Mount, p); err != nil {
			return nil, err
		}
		o, err := s.open(ctx)
		if err != nil {
			return nil, err
		}
		if before != nil && before.login == o.login && before.kv == o.kv {
			s.settle(ctx, doubt.error, o.final(doubt.dead), s.config.Mount, p)
			return nil, doubt.error
		}
		secret, err := s.read(ctx, o, p, version)
		if errors.As(err, &doubt) {
			s.doubt(o, doubt.status, doubt.dead)
			before = o
			continue
		}
		s.settle(ctx, err, true, s.config.Mount, p)
		if err == nil {
			s.learn(ctx, o.kv)
		}
		return secret, err
	}
}

// drop makes the next one to ask take the login up anew.
func (s *Source) drop(login *step[*kept]) {
	s.session.mu.Lock()
	defer s.session.mu.Unlock()
	if s.session.login == login {
		s.session.login = nil
	}
}
