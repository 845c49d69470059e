// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// image has the payload, a shell, and a variable of its own. Its command is that
// of a pod's sandbox.
const image = "localhost/test:latest"

var archived sync.Once

// archive is the image as a file, made once: a layout (image-spec,
// image-layout.md) that also is what `docker save` writes.
func archive(t *testing.T) string {
	t.Helper()
	path := filepath.Join(base, "image.tar")
	archived.Do(func() {
		layer := layer(t)
		config := object(t, map[string]any{
			"architecture": "amd64", "os": "linux",
			"config": map[string]any{"Env": []string{"PATH=/bin", "FROM_IMAGE=image"}, "Cmd": []string{"/bin/busybox", "sleep", "1000000"}},
			"rootfs": map[string]any{"type": "layers", "diff_ids": []string{digest(layer)}},
		})
		manifest := object(t, map[string]any{
			"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
			"config": descriptor("application/vnd.oci.image.config.v1+json", config, nil),
			"layers": []any{descriptor("application/vnd.oci.image.layer.v1.tar", layer, nil)},
		})
		index := object(t, map[string]any{
			"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
			"manifests": []any{descriptor("application/vnd.oci.image.manifest.v1+json", manifest, map[string]string{
				"io.containerd.image.name": image, "org.opencontainers.image.ref.name": "latest",
			})},
		})
		docker := object(t, []any{map[string]any{"Config": blob(config), "RepoTags": []string{image}, "Layers": []string{blob(layer)}}})
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, f := range []struct {
			name    string
			content []byte
		}{
			{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)},
			{"index.json", index},
			{"manifest.json", docker},
			{blob(config), config},
			{blob(manifest), manifest},
			{blob(layer), layer},
		} {
			add(t, w, &tar.Header{Name: f.name, Mode: 0o644}, f.content)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		rig.WriteFile(t, path, b.String(), 0o644)
	})
	return path
}

// layer is the image's root.
func layer(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, d := range []string{"bin/", "dev/", "etc/", "proc/", "sys/", "tmp/", "vol/"} {
		add(t, w, &tar.Header{Name: d, Typeflag: tar.TypeDir, Mode: 0o755}, nil)
	}
	for name, from := range map[string]string{rig.PayloadPath[1:]: rig.Payload(t, "amd64"), "bin/busybox": "/bin/busybox"} {
		f, err := os.Open(from)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		add(t, w, &tar.Header{Name: name, Mode: 0o755}, content)
	}
	for _, applet := range []string{"sh", "env", "sleep"} {
		add(t, w, &tar.Header{Name: "bin/" + applet, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777}, nil)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func add(t *testing.T, w *tar.Writer, h *tar.Header, content []byte) {
	t.Helper()
	h.Size = int64(len(content))
	if err := w.WriteHeader(h); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
}

func object(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func digest(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

func blob(b []byte) string { return fmt.Sprintf("blobs/sha256/%x", sha256.Sum256(b)) }

func descriptor(mediaType string, b []byte, annotations map[string]string) map[string]any {
	d := map[string]any{"mediaType": mediaType, "digest": digest(b), "size": len(b)}
	if annotations != nil {
		d["annotations"] = annotations
	}
	return d
}
