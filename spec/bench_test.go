// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// document is a config.json of some 10 KB, as engines write it.
func document() []byte {
	var env, mounts []string
	for i := range 20 {
		env = append(env, fmt.Sprintf("VARIABLE_%d=%s", i, strings.Repeat("value ", 5)))
	}
	for i := range 60 {
		mounts = append(mounts, fmt.Sprintf(`{"destination":"/mnt/%d","type":"bind","source":"/var/lib/data/%d","options":["rbind","nosuid","noexec","ro"]}`, i, i))
	}
	list, _ := json.Marshal(env)
	return fmt.Appendf(nil, `{"ociVersion":"1.2.0","process":{"terminal":false,"user":{"uid":0,"gid":0},"args":["sh"],"env":%s,"cwd":"/"},`+
		`"root":{"path":"rootfs"},"mounts":[%s],"annotations":{"secrets.oci/from":"db stripe dotenv:web"},`+
		`"linux":{"resources":{"memory":{"limit":9223372036854771712}}}}`, list, strings.Join(mounts, ","))
}

func BenchmarkNoRequest(b *testing.B) {
	doc := []byte(strings.Replace(string(document()), "secrets.oci/from", "other.example/x", 1))
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		d, err := ParseDoc(doc)
		if err != nil {
			b.Fatal(err)
		}
		annotations, err := d.Annotations()
		if err != nil {
			b.Fatal(err)
		}
		if asked, err := Parse(annotations); err != nil || !asked.None() {
			b.Fatal(asked, err)
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	doc := document()
	vars := []string{"VARIABLE_7=new", "PASSWORD=hunter2", "TOKEN=" + strings.Repeat("x", 1000)}
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		d, err := ParseDoc(doc)
		if err != nil {
			b.Fatal(err)
		}
		annotations, err := d.Annotations()
		if err != nil {
			b.Fatal(err)
		}
		if asked, err := Parse(annotations); err != nil || len(asked.Requests) != 3 {
			b.Fatal(asked, err)
		}
		if _, err := d.WithEnv(vars); err != nil {
			b.Fatal(err)
		}
	}
}
