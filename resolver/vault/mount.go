// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// mount is what is known of the engine.
type mount struct {
	kv         int  // its version
	remembered bool // by the host, and not asked for
}

// mountRecord is what the host remembers of a mount, and of the servers that it
// is on.
type mountRecord struct {
	KV      int
	Address string // the one that answered last
}

func (r *mountRecord) valid() bool { return r.KV == 1 || r.KV == 2 }

// mountName names the file: it is the same for all who may log in there.
func (s *Source) mountName() string {
	return digest(s.config.Addresses, s.config.Namespace, s.config.Mount) + mountSuffix
}

const mountSuffix = ".mount"

// known gives what the host remembers of the mount.
func (s *Source) known(ctx context.Context) (r mountRecord) {
	h, _ := s.host(ctx) // login tells
	if h == nil || !h.load(ctx, s.mountName(), &r) {
		return mountRecord{}
	}
	return r
}

// learn remembers what a mount is and who answers for it, if that is new.
func (s *Source) learn(ctx context.Context, kv int) {
	h, _ := s.host(ctx) // login has told
	if h == nil {
		return
	}
	r := mountRecord{KV: kv, Address: s.servers.String()}
	s.session.mu.Lock()
	learnt := s.session.learnt == r
	s.session.learnt = r
	s.session.mu.Unlock()
	if !learnt && s.known(ctx) != r {
		_ = h.store(s.mountName(), r) // or the next one asks for itself
	}
}

// mounted says what is mounted: what the host remembers, or else what the server
// says.
func (s *Source) mounted(ctx context.Context, o *opening) (mount, error) {
	s.session.mu.Lock()
	ask := s.session.ask
	s.session.mu.Unlock()
	look := func() (mount, bool) {
		known := s.known(ctx)
		return mount{kv: known.KV, remembered: true}, known.KV != 0 && !ask
	}
	if m, ok := look(); ok {
		return m, nil
	}
	at := "sys/internal/ui/mounts/" + s.config.Mount
	defer resolver.RecordOf(ctx).Phase("mount")()
	defer s.queue(ctx, s.mountName())()
	if m, ok := look(); ok {
		return m, nil
	}
	if err := s.refusedRead(ctx, at); err != nil {
		return mount{}, err
	}
	kv, err := s.engine(ctx)
	s.settle(ctx, err, o.final(errors.Is(err, errInvalidToken)), at)
	if err != nil {
		return mount{}, err
	}
	s.learn(ctx, kv)
	return mount{kv: kv}, nil
}

// queue lets one start after the other go on, so that most find what the first
// one learnt. It keeps nobody for more than half of the time that is left: who
// asks then sees why it took so long.
func (s *Source) queue(ctx context.Context, name string) (leave func()) {
	leave = func() {}
	h, _ := s.host(ctx) // login has told
	if h == nil {
		return leave
	}
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/2)
		defer cancel()
	}
	if unlock, err := h.lock(ctx, name); err == nil {
		leave = unlock
	}
	return leave
}

// engine asks what is mounted, in the way of `vault kv`: any token that may do
// something below a mount may ask this.
func (s *Source) engine(ctx context.Context) (int, error) {
	mount := s.config.Mount
	a, err := s.get(ctx, "look up mount "+mount, "sys/internal/ui/mounts/"+mount, nil)
	if err != nil {
		return 0, err
	}
	var got struct {
		Data struct {
			Path    string
			Type    string
			Options map[string]string
		}
	}
	switch {
	case a.status == http.StatusForbidden && isInvalid(a):
		return 0, s.invalidToken("look up mount " + mount)
	case a.status != http.StatusOK:
		// Vault does not tell a mount that is not there from one that the
		// token has nothing to do with.
		return 0, s.fault(fault.Refused, s.policyHint(0, "*"),
			"mount %q is not there, or the token's policies allow nothing below it: %s", mount, a.seen()).Because(fault.Denied)
	case json.Unmarshal(a.body, &got) != nil || got.Data.Path == "":
		return 0, s.strange("look up mount "+mount, a)
	case strings.Trim(got.Data.Path, "/") != mount:
		return 0, s.fault(fault.Settings, "", "mount %q: what is mounted there is %q; set mount to that and prefix to the rest",
			mount, clean(strings.Trim(got.Data.Path, "/")))
	case got.Data.Type != "kv" && got.Data.Type != "generic":
		return 0, s.fault(fault.Settings, "", "mount %q is of type %q, not kv", mount, clean(got.Data.Type))
	case got.Data.Options["version"] == "2":
		return 2, nil
	}
	return 1, nil
}
