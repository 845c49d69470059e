// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"unicode"

	"github.com/hashicorp/vault/api"

	"github.com/oci-secrets/oci-secrets/resolver/private"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// session is the one login of a Source, and what it learnt of the mount.
type session struct {
	mu   sync.Mutex
	open *opening // nil until the first Get, and after an attempt that was cut short
}

// opening is a login under way or done. Its fields are set before done closes.
type opening struct {
	done   chan struct{}
	client *api.Client // with the token
	kv     int         // version of the engine: 1 or 2
	err    error
}

// login gives the logged-in client. The first caller does the work and the
// others wait for it. A refusal is final for the Source, or every one of a
// hundred names would try a bad secret id again; only an attempt that ended
// with its caller's own context is taken up anew.
func (s *Source) login(ctx context.Context) (*opening, error) {
	s.session.mu.Lock()
	o := s.session.open
	if o == nil {
		o = &opening{done: make(chan struct{})}
		s.session.open = o
		s.session.mu.Unlock()
		s.begin(ctx, o)
		if o.err != nil && ctx.Err() != nil {
			s.session.mu.Lock()
			s.session.open = nil
			s.session.mu.Unlock()
		}
		close(o.done)
		return o, o.err
	}
	s.session.mu.Unlock()
	select {
	case <-o.done:
		return o, o.err
	case <-ctx.Done():
		return nil, s.fault(fault.Unreachable, "", "gave up waiting for the login")
	}
}

func (s *Source) begin(ctx context.Context, o *opening) {
	if o.client, o.err = connect(s.config); o.err != nil {
		return
	}
	var token string
	if token, o.err = s.token(ctx, o.client); o.err != nil {
		return
	}
	o.client.SetToken(token)
	o.kv, o.err = s.engine(ctx, o.client)
}

// token is the token that the auth method gives.
func (s *Source) token(ctx context.Context, client *api.Client) (string, error) {
	token := s.config.Auth.Token.Reveal()
	var err error
	switch s.config.Auth.Method {
	case "token_file":
		token, err = credential("token_file", s.config.Auth.TokenFile)
	case "approle":
		return s.appRole(ctx, client)
	}
	if err != nil {
		return "", err
	}
	// A token goes into a header as it is.
	if strings.ContainsFunc(token, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsGraphic(r) || r == ' ' }) {
		return "", settings("vault: the token has characters that no token has")
	}
	return token, nil
}

// credential reads a private file that holds one line.
func credential(what, file string) (string, error) {
	data, err := private.Read(file)
	if err != nil {
		return "", unreadable(what, err)
	}
	text := strings.TrimRight(string(data), "\r\n")
	if text == "" {
		return "", settings("vault: %s: %s is empty", what, file)
	}
	return text, nil
}

// unreadable is the fault of a file that package private would not read.
func unreadable(what string, err error) error {
	class, ok := fault.ClassOf(err)
	if !ok {
		class = fault.Settings // it is not there
	}
	return fault.New(class, strings.Join(fault.Hints(err), "; "), "vault: %s: %s", what, clean(err.Error()))
}

func (s *Source) appRole(ctx context.Context, client *api.Client) (string, error) {
	c := s.config.Auth
	login := map[string]string{"role_id": c.RoleID}
	var err error
	if c.RoleIDFile != "" {
		if login["role_id"], err = credential("role_id_file", c.RoleIDFile); err != nil {
			return "", err
		}
	}
	if c.SecretIDFile != "" {
		if login["secret_id"], err = credential("secret_id_file", c.SecretIDFile); err != nil {
			return "", err
		}
	}
	body, err := json.Marshal(login)
	if err != nil {
		return "", settings("vault: approle login: %s", clean(err.Error()))
	}

	at := "auth/" + c.Mount + "/login"
	a, err := s.ask(ctx, "AppRole login at "+at, []string{login["secret_id"], login["role_id"]}, func(ctx context.Context) (*api.Response, error) {
		return client.Logical().WriteRawWithContext(ctx, at, body)
	})
	if err != nil {
		return "", err
	}
	if a.status != http.StatusOK {
		return "", s.fault(fault.Refused, "check role_id, secret_id_file and the mount of the auth method",
			"AppRole login at %s was refused: %s", at, a.seen())
	}
	var got struct {
		Auth struct {
			ClientToken string `json:"client_token"`
		}
	}
	if err := json.Unmarshal(a.body, &got); err != nil || got.Auth.ClientToken == "" {
		return "", s.fault(fault.Refused, "", "AppRole login at %s gave no token", at)
	}
	return got.Auth.ClientToken, nil
}

// engine asks what is mounted, in the way of `vault kv`: any token that may do
// something below a mount may ask this.
func (s *Source) engine(ctx context.Context, client *api.Client) (int, error) {
	mount := s.config.Mount
	a, err := s.get(ctx, client, "look up mount "+mount, "sys/internal/ui/mounts/"+mount, nil)
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
	case a.status == http.StatusForbidden && strings.Contains(a.messages(), "invalid token"):
		return 0, s.invalidToken("look up mount " + mount)
	case a.status != http.StatusOK:
		// Vault does not tell a mount that is not there from one that the
		// token has nothing to do with.
		return 0, s.fault(fault.Refused, s.policyHint(0, "*"),
			"mount %q is not there, or the token's policies allow nothing below it: %s", mount, a.seen())
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
