// SPDX-License-Identifier: Apache-2.0

package budget

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// TestAnswers has a Vault whose answers are as large as a server's may be.
func TestAnswers(t *testing.T) {
	h := newHost(t)
	answer := func(size int) []byte {
		return []byte(`{"data":{"data":{"K":"` + strings.Repeat("v", size) + `"},"metadata":{"version":1}}}`)
	}
	one, large := answer(100_000), answer(7_900_000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.Contains(r.URL.Path, "mounts"):
			fmt.Fprint(w, `{"data":{"path":"secret/","type":"kv","options":{"version":"2"}}}`) //nolint:errcheck // the client notices
		case strings.Contains(r.URL.Path, "/large"):
			w.Write(large) //nolint:errcheck // as above
		default:
			w.Write(one) //nolint:errcheck // as above
		}
	}))
	defer server.Close()
	rig.WriteFile(t, filepath.Join(h.dir, "token"), "t", 0o600)
	h.configure(t, deadline, fmt.Sprintf("[vault]\naddress = %q\ninsecure_loopback = true\n[vault.auth]\nmethod = \"token_file\"\ntoken_file = \"token\"\n", server.URL))
	const tooMuch = "oci-secrets: what the sources answer is more than 16777216 bytes together\nhint: ask for fewer or smaller secrets\n"
	for name, tt := range map[string]struct {
		list string
		said string
	}{
		"large answers":                {numbered("", "large%d", " ", 1000), tooMuch},
		"small answers":                {numbered("", "n%d", " ", 1000), tooMuch},
		"as many small answers as fit": {numbered("", "n%[1]d#K=V%[1]d", " ", 60), ""},
		"one large answer":             {"large#K?", "variable K: NAME=value is 7900003 bytes"},
	} {
		for _, way := range []string{"precreate", "explain"} {
			t.Run(name+"/"+way, func(t *testing.T) {
				h.forget(t)
				s := from(tt.list)
				dir, config := h.bundle(t, s)
				argv, stdin := ways[way](h, dir, config, s)
				line, costs := measured(t, argv...)
				res := rig.RunWith(t, h.env, stdin, line...)
				if !strings.Contains(res.Stderr, tt.said) {
					t.Errorf("it said %.500q", res.Stderr)
				}
				said := res.Stderr
				if way == "explain" {
					said += res.Stdout
				}
				h.within(t, costs(), res, said)
			})
		}
	}
}
