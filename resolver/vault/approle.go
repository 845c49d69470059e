// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

func checkAppRole(a Auth) error {
	if a.RoleID != "" && a.RoleIDFile != "" {
		return fault.New(fault.Settings, "take one of them away", "vault: auth method approle takes one of role_id and role_id_file, not both")
	}
	if a.RoleID == "" && a.RoleIDFile == "" {
		return fault.New(fault.Settings, `write role_id = "..." under [vault.auth]`, "vault: auth method approle needs one of role_id and role_id_file")
	}
	if a.SecretIDFile != "" && a.WrappedSecretIDFile != "" {
		return fault.New(fault.Settings, "take one of them away", "vault: auth method approle takes secret_id_file or wrapped_secret_id_file, not both")
	}
	return nil
}

// appRole logs in as a machine: a role's id, and a secret id where the role
// wants one.
func (s *Source) appRole(ctx context.Context) (grant, error) {
	c := s.config.Auth
	login := map[string]string{"role_id": c.RoleID}
	hint := "check role_id, the mount of the auth method, and secret_id_file: a secret id may have expired or been used up"
	var err error
	if c.RoleIDFile != "" {
		if login["role_id"], err = credential("role_id_file", c.RoleIDFile); err != nil {
			return grant{}, err
		}
	}
	switch {
	case c.SecretIDFile != "":
		login["secret_id"], err = credential("secret_id_file", c.SecretIDFile)
	case c.WrappedSecretIDFile != "":
		login["secret_id"], err = s.wrappedSecretID(ctx)
		hint = "the secret id that was unwrapped is another role's, or has been used up or revoked; for a new one, put a new wrapping token into wrapped_secret_id_file"
	}
	if err != nil {
		return grant{}, err
	}
	return s.authenticate(ctx, "AppRole", login, hint)
}
