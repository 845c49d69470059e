// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/memory"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// remember is how long a refusal answers for the server: a restart loop, or two
// hundred starts with the same wrong secret id, ask once in that time.
const remember = 5 * time.Second

const refusedSuffix = ".refused"

// refusal is what a server said, or did not, a moment ago.
type refusal struct {
	Class  fault.Class
	Reason fault.Reason
	Text   string
	Hint   string
	At     time.Duration // since boot
}

func (r *refusal) valid() bool { return r.Class != 0 && r.Text != "" && r.At != 0 }

// holds reports whether it may still be answered from.
func (r *refusal) holds() bool { return memory.Now()-r.At < remember }

// refuse remembers err under the name.
func (h *host) refuse(name string, err error) {
	r := refusal{Text: err.Error(), Hint: strings.Join(fault.Hints(err), "; "), At: memory.Now()}
	r.Class, _ = fault.ClassOf(err)
	var f *fault.Error
	if errors.As(err, &f) {
		r.Reason = f.Reason
	}
	_ = h.store(name+refusedSuffix, r) // or the next one asks for itself
}

// remembered gives the refusal that the host remembers under the name, or nil.
func (s *Source) remembered(ctx context.Context, h *host, name string) error {
	var r refusal
	if s.config.Fresh || !h.load(ctx, name+refusedSuffix, &r) || !r.holds() {
		return nil
	}
	age := (memory.Now() - r.At).Truncate(time.Second)
	resolver.RecordOf(ctx).Note("answered from a refusal of %s ago", age)
	said := func(when string) error { return fault.New(r.Class, r.Hint, "%s%s", r.Text, when).Because(r.Reason) }
	return recalled{said(fmt.Sprintf(" (%s ago; asked again in %s)", age, remember-age)), said("")}
}

// recalled is what the server said to somebody else, and not to this Source.
type recalled struct {
	error
	first error // as it was said then: the same however often it is recalled
}

func (r recalled) Unwrap() error { return r.error }

// lasts reports whether what a login ended with is worth remembering: the
// server's no, or none at all in a time in which it could have been. What is
// wrong on this side is found out again without asking anybody.
func lasts(ctx context.Context, err error, took time.Duration) bool {
	switch class, _ := fault.ClassOf(err); {
	case errors.Is(ctx.Err(), context.Canceled):
		return false // who asked went away
	case strings.HasPrefix(err.Error(), "vault: "): // and not of an address
		return false
	case class == fault.Refused:
		return true
	case class == fault.Unreachable:
		return ctx.Err() == nil || took >= time.Second
	}
	return false
}

// refusalOf names the refusal to read what is at a path, for who logs in like
// this Source. It is that path's alone: a container must not be able to have
// others refused by asking for what it may not read.
func (s *Source) refusalOf(key string, at ...string) string { return digest(key, path.Join(at...)) }

// refusedRead gives what the host remembers of a path, or nil.
func (s *Source) refusedRead(ctx context.Context, at ...string) error {
	h, key := s.keeps(ctx)
	if h == nil {
		return nil
	}
	return s.remembered(ctx, h, s.refusalOf(key, at...))
}

// settle tells the others what came of asking for a path: that it is refused,
// also after a new login, or not any more.
func (s *Source) settle(ctx context.Context, err error, final bool, at ...string) {
	h, key := s.keeps(ctx)
	switch {
	case h == nil:
	case err == nil && s.config.Fresh:
		h.remove(s.refusalOf(key, at...) + refusedSuffix)
	case denied(err) && final:
		h.refuse(s.refusalOf(key, at...), err)
		h.tidy(ctx)
	}
}

// keeps gives the host and this Source's key there; nil where nothing of it is
// kept.
func (s *Source) keeps(ctx context.Context) (*host, string) {
	h, err := s.host(ctx)
	if err != nil || h == nil || s.config.Auth.given() || s.config.Session != "" {
		return nil, ""
	}
	key, err := s.key()
	if err != nil {
		return nil, ""
	}
	return h, key
}
