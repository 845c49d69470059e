// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/oci-secrets/oci-secrets/hook/shim/argv"
)

// log appends msg to the file after --log, as runc writes its own errors there:
// engines show their users the last one of them (containerd/go-runc, runc.go,
// getLastRuntimeError). A file that cannot be written is not an error: standard
// error has the message, too.
func (s *shim) log(msg string) {
	path, _ := argv.Last(s.Global, "log")
	if s.isCrun() { // which logs to more than files (src/libcrun/error.c)
		path = strings.TrimPrefix(path, "file:")
		if strings.HasPrefix(path, "syslog:") || strings.HasPrefix(path, "journald:") {
			return
		}
	}
	if path == "" {
		return
	}
	now := time.Now().Format(time.RFC3339)
	line := []byte("time=" + strconv.Quote(now) + " level=error msg=" + strconv.Quote(msg))
	if format, _ := argv.Last(s.Global, "log-format"); format == "json" {
		line, _ = json.Marshal(struct { // of strings, which do not fail
			Level string `json:"level"`
			Msg   string `json:"msg"`
			Time  string `json:"time"`
		}{"error", msg, now})
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return
	}
	_, _ = f.Write(append(line, '\n'))
	_ = f.Close()
}
