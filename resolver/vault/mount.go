// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

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
