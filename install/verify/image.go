// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// program is where the binary is in the image.
const program = "/oci-secrets"

// writeImage writes an image of nothing but this binary, which must be static, in the
// form that `podman load`, `docker load` and `ctr images import` all read
// (docker-archive: manifest.json, a configuration and a layer). Nothing is
// pulled from anywhere.
func writeImage(w io.Writer, name string) error {
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	layer, err := archive(member{program[1:], 0o755, self})
	if err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       map[string]any{"Cmd": []string{program, ProbeCommand, "print"}},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + sum(layer)}},
	})
	if err != nil {
		return err
	}
	configName := sum(config) + ".json"
	manifest, err := json.Marshal([]any{map[string]any{"Config": configName, "RepoTags": []string{name}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return err
	}
	image, err := archive(member{"layer.tar", 0o644, layer}, member{configName, 0o644, config}, member{"manifest.json", 0o644, manifest})
	if err == nil {
		_, err = w.Write(image)
	}
	return err
}

// checkStatic refuses a binary that starts in no image of its own, because it needs
// an interpreter from the host's.
func checkStatic(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return fault.New(failed, "", "this binary cannot be read: %w", err)
	}
	defer func() { _ = f.Close() }() // only read from
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fault.New(failed, "build it with CGO_ENABLED=0, as `make build` does", "this binary is not static, so it cannot be the program of verify's containers")
		}
	}
	return nil
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// member is a file of an archive.
type member struct {
	name string
	mode int64
	data []byte
}

func archive(members ...member) ([]byte, error) {
	var b bytes.Buffer
	t := tar.NewWriter(&b)
	for _, m := range members {
		if err := t.WriteHeader(&tar.Header{Name: m.name, Mode: m.mode, Size: int64(len(m.data)), Format: tar.FormatUSTAR}); err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		if _, err := t.Write(m.data); err != nil {
			return nil, err
		}
	}
	err := t.Close()
	return b.Bytes(), err
}
