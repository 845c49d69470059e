// SPDX-License-Identifier: Apache-2.0

package start

import (
	"context"
	"fmt"

	"github.com/oci-secrets/oci-secrets/hook/delivery"
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
	if err == nil && asked.None() {
		return config, nil
	}
	var amended []byte
	err = s.Tell(ctx, delivery.Precreate, "", asked, func(ctx context.Context) error {
		if err != nil {
			return s.refuse(ctx, err)
		}
		amended, err = s.amend(ctx, doc, asked)
		return err
	})
	return amended, err
}

// amend gives doc with what its container asks for.
func (s *Start) amend(ctx context.Context, doc *spec.Doc, asked spec.Asked) ([]byte, error) {
	vars, err := s.Resolve(ctx, resolver.Container{Spec: func() (*spec.Doc, error) { return doc, nil }}, asked)
	if err != nil {
		return nil, err
	}
	defer resolver.RecordOf(ctx).Phase("deliver")()
	amended, err := doc.WithEnv(resolver.Env(vars))
	if err != nil {
		return nil, fmt.Errorf("amend config.json: %w", err)
	}
	return amended, nil
}
