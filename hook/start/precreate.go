// SPDX-License-Identifier: Apache-2.0

package start

import (
	"context"
	"fmt"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/spec"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// Precreate gives the config.json that podman is to use instead of the one it
// wrote. What it returns holds the values, and so does everything that podman
// makes of it; in-flight delivery does not have that property.
func (s *Start) Precreate(ctx context.Context, config []byte) ([]byte, error) {
	doc, err := spec.ParseDoc(config)
	if err != nil {
		return nil, fault.New(fault.Document, "", "read config.json on standard input: %w", err)
	}
	annotations, err := doc.Annotations()
	if err != nil {
		return nil, fault.New(fault.Document, "", "read config.json on standard input: %w", err)
	}
	asked, err := spec.Parse(annotations)
	if err != nil {
		return nil, err
	}
	if asked.None() {
		return config, nil
	}
	vars, err := s.Resolve(ctx, resolver.Container{Spec: func() (*spec.Doc, error) { return doc, nil }}, asked)
	if err != nil {
		return nil, err
	}
	amended, err := doc.WithEnv(resolver.Env(vars))
	if err != nil {
		return nil, fmt.Errorf("amend config.json: %w", err)
	}
	return amended, nil
}
