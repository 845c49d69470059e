// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
)

// Call is one request as the server's audit log has it. What the log says of
// tokens is an HMAC of them.
type Call struct {
	ID, Operation, Path string
	Namespace           string
	MountType           string // approle, kv, database, ...
	RemotePort          int

	// What came of it. A server that was killed has not told.
	DisplayName string // of the token that was used or made: approle, token-web, ...
	Accessor    string
	TokenType   string // service or batch
	Policies    []string
	LeaseID     string
	Error       string
}

// Login reports whether the request asked for a token with a login.
func (c Call) Login() bool {
	return strings.HasPrefix(c.Path, "auth/") && strings.HasSuffix(strings.TrimSuffix(c.Path, "/"), "/login")
}

// Calls gives the requests that the server got while f ran, from its audit
// log: what it was asked and not what the client thinks it asked. The
// server must not be in use by another test at the time.
func (s *Server) Calls(t testing.TB, f func()) []Call {
	t.Helper()
	return calls(t, func() *api.Client { return s.Client }, f)
}

// calls enables an audit log with one client and disables it with another:
// what answers may have changed while f ran.
func calls(t testing.TB, client func() *api.Client, f func()) []Call {
	t.Helper()
	file := filepath.Join(t.TempDir(), "audit")
	err := client().Sys().EnableAuditWithOptionsWithContext(t.Context(), "calls", &api.EnableAuditOptions{
		Type: "file", Options: map[string]string{"file_path": file},
	})
	if err != nil {
		t.Fatalf("enable audit: %v", err)
	}
	f()
	if err := client().Sys().DisableAuditWithContext(t.Context(), "calls"); err != nil {
		t.Fatalf("disable audit: %v", err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	calls, err := parseAudit(data)
	if err != nil {
		t.Fatalf("audit log: %v", err)
	}
	return calls
}

// parseAudit gives the requests in the order in which they came, each with what
// the log has of the response.
func parseAudit(log []byte) ([]Call, error) {
	var calls []Call
	index := map[string]int{}
	for d := json.NewDecoder(bytes.NewReader(log)); ; {
		var entry struct {
			Type    string
			Error   string
			Request struct {
				ID, Operation, Path string
				Namespace           struct{ Path string }
				MountType           string `json:"mount_type"`
				RemotePort          int    `json:"remote_port"`
			}
			Auth struct { // the token's, and after a login that of the new one
				DisplayName string `json:"display_name"`
				Accessor    string
				TokenType   string `json:"token_type"`
				Policies    []string
			}
			Response struct {
				Secret struct {
					LeaseID string `json:"lease_id"`
				}
			}
		}
		if err := d.Decode(&entry); err == io.EOF {
			return calls, nil
		} else if err != nil {
			return nil, err
		}
		if strings.HasPrefix(entry.Request.Path, "sys/audit/") {
			continue
		}
		at, known := index[entry.Request.ID]
		if !known {
			at = len(calls)
			index[entry.Request.ID] = at
			r := entry.Request
			calls = append(calls, Call{
				ID: r.ID, Operation: r.Operation, Path: r.Path, Namespace: r.Namespace.Path,
				MountType: r.MountType, RemotePort: r.RemotePort,
			})
		}
		c := &calls[at]
		auth := entry.Auth
		c.DisplayName, c.Accessor, c.TokenType, c.Policies = auth.DisplayName, auth.Accessor, auth.TokenType, auth.Policies
		c.LeaseID, c.Error = entry.Response.Secret.LeaseID, entry.Error
	}
}
