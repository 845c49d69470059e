// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/spec"
)

// containerOf is one whose config.json is text; nil for one without.
func containerOf(text []byte) resolver.Container {
	if text == nil {
		return resolver.Container{}
	}
	return resolver.Container{ID: "c", Spec: func() (*spec.Doc, error) { return spec.ParseDoc(text) }}
}
