// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptrace"
	"regexp"
	"strings"
	"sync/atomic"

	"github.com/hashicorp/vault/api"

	"github.com/oci-secrets/oci-secrets/resolver/memory"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// maxSecretID is what is made sure to fit before a secret id is unwrapped.
const maxSecretID = 4096

// wrappedSecretID gives the secret id that a wrapping token of the settings
// stands for. The token works once and secret ids are for many starts, so the
// first of them unwraps it and keeps the secret id in the state directory, for
// as long as the host is up.
func (s *Source) wrappedSecretID(ctx context.Context) (string, error) {
	path := s.config.Auth.WrappedSecretIDFile
	token, err := credential("wrapped_secret_id_file", path)
	if err != nil {
		return "", err
	}
	if !isToken(token) {
		return "", settings("vault: wrapped_secret_id_file: %s has characters that no token has", path)
	}
	root, err := memory.Make(s.config.StateDir)
	if err != nil {
		return "", err
	}
	defer func() { _ = root.Close() }() // what was written is closed by itself
	if why := makeFolder(root); why != "" {
		return "", unkept(errors.New(why))
	}
	sum := sha256.Sum256([]byte(token))
	base := hex.EncodeToString(sum[:]) + ".secret-id"
	name := file(base)
	if id, err := keptSecretID(root, name); id != "" || err != nil {
		return id, err
	}
	unlock, err := (&host{root}).lock(ctx, base)
	switch {
	case err != nil && ctx.Err() != nil:
		return "", s.fault(fault.Unreachable, "", "gave up waiting for another start that unwraps the secret id")
	case err != nil:
		return "", unkept(err)
	}
	defer unlock()
	if id, err := keptSecretID(root, name); id != "" || err != nil {
		return id, err
	}
	if err := s.checkWrapped(ctx, token); err != nil {
		return "", err
	}
	temp, err := reserve(root, name+".new")
	if err != nil {
		return "", unkept(err)
	}
	id, err := s.unwrap(ctx, token)
	if err == nil {
		if kept := keepSecretID(root, temp, name, id); kept != nil {
			err = fault.New(fault.Delivery, "put a new wrapping token into wrapped_secret_id_file", "vault: the secret id was unwrapped and is lost: it cannot be kept: %s", clean(kept.Error()))
		}
	}
	if err != nil {
		_ = temp.Close()               // nothing in it counts
		_ = root.Remove(name + ".new") // it is in nobody's way
		return "", err
	}
	return id, nil
}

// checkWrapped refuses a token that is spent, and one that wraps something
// else: who could write the file could have put any answer of Vault's there.
func (s *Source) checkWrapped(ctx context.Context, token string) error {
	body, err := json.Marshal(map[string]string{"token": token})
	if err != nil {
		return settings("vault: wrapped_secret_id_file: %s", clean(err.Error()))
	}
	const what = "look up the wrapping token"
	a, err := s.ask(ctx, what, []string{token}, func(ctx context.Context, c *api.Client) (*api.Response, error) {
		return c.Logical().WriteRawWithContext(ctx, "sys/wrapping/lookup", body)
	})
	if err != nil {
		return err
	}
	if a.status != http.StatusOK && !strings.Contains(token, ".") { // of what kind it is, stands before the dot
		return s.fault(fault.Refused, "write it as `vault write -force -wrap-ttl=10m -field=wrapping_token ...`; a secret id that is not wrapped belongs in secret_id_file",
			"what is in %s is no wrapping token: %s", s.config.Auth.WrappedSecretIDFile, a.seen()).Because(fault.Denied)
	}
	if a.status != http.StatusOK {
		return s.spent(a)
	}
	var got struct {
		Data struct {
			CreationPath string `json:"creation_path"`
		}
	}
	if json.Unmarshal(a.body, &got) != nil || got.Data.CreationPath == "" {
		return s.strange(what, a)
	}
	want := "auth/" + s.config.Auth.Mount + "/role/"
	if !regexp.MustCompile("^" + regexp.QuoteMeta(want) + "[^/]+/secret-id$").MatchString(got.Data.CreationPath) {
		return s.fault(fault.Refused, "find out who wrote wrapped_secret_id_file",
			"the wrapping token in %s was made at %s, and not at %s<role>/secret-id", s.config.Auth.WrappedSecretIDFile, clean(got.Data.CreationPath), want).Because(fault.Denied)
	}
	return nil
}

// spent is the error of a wrapping token that does not work.
func (s *Source) spent(a answer) error {
	return s.fault(fault.Refused, "if nobody here used it, somebody else may have the secret id: revoke the secret ids of the role; then put a new wrapping token there",
		"the wrapping token in %s was used already, or has expired: %s", s.config.Auth.WrappedSecretIDFile, a.seen()).Because(fault.Denied)
}

// unwrap gives what the token wraps. It is sent again only while it is certain
// that no server has acted on it.
func (s *Source) unwrap(ctx context.Context, token string) (string, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	lost := false
	a, err := s.ask(ctx, "unwrap the secret id", []string{token}, func(ctx context.Context, c *api.Client) (*api.Response, error) {
		var sent atomic.Bool
		r := c.NewRequest(http.MethodPost, "/v1/sys/wrapping/unwrap")
		r.ClientToken = token
		resp, err := c.RawRequestWithContext( //nolint:staticcheck // there is no other with a token of its own and no environment
			httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }}), r)
		if sent.Load() && !certain(resp) {
			lost = true
			stop() // or it would be sent again
		}
		return resp, err
	})
	if lost {
		return "", s.fault(fault.Unreachable, "the next start finds out; if it says that the token was used already, put a new wrapping token into wrapped_secret_id_file",
			"the answer to unwrapping the secret id was lost, and the secret id may be with it")
	}
	if err != nil {
		return "", err
	}
	if a.status != http.StatusOK {
		return "", s.spent(a)
	}
	var got struct {
		Data struct {
			SecretID string `json:"secret_id"`
		}
	}
	if json.Unmarshal(a.body, &got) != nil || got.Data.SecretID == "" || len(got.Data.SecretID) > maxSecretID {
		return "", s.fault(fault.Refused, "", "what the wrapping token in %s wraps is no secret id", s.config.Auth.WrappedSecretIDFile).Because(fault.Malformed)
	}
	return got.Data.SecretID, nil
}

// certain reports whether an answer says if the request was acted on: it was,
// or the server is one that does not act (sealed, standby, throttled). Any other
// error of a server, or of a proxy before it, leaves that open.
func certain(r *api.Response) bool {
	return r != nil && r.Response != nil && (r.StatusCode < 500 || r.StatusCode == http.StatusNotImplemented || r.StatusCode == http.StatusServiceUnavailable)
}
