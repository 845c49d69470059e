// SPDX-License-Identifier: Apache-2.0

package pass

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/spec/limit"
)

// alarmEnv makes the test binary a process with an alarm: one that waits for its
// standard input, or one that becomes another program.
const alarmEnv = "OCI_SECRETS_TEST_ALARM"

// TestAlarm has a process that reads what does not come, and one that became another
// program before its alarm.
func TestAlarm(t *testing.T) {
	switch os.Getenv(alarmEnv) {
	case "read":
		alarm(1)
		_ = readAll(syscall.Stdin)
		return
	case "exec":
		alarm(1)
		t.Fatal(syscall.Exec("/bin/sleep", []string{"sleep", "2"}, nil))
	}
	if lastSeconds*time.Second != limit.Hook {
		t.Errorf("%d seconds, and a hook has %v", lastSeconds, limit.Hook)
	}
	for kind, killed := range map[string]bool{"read": true, "exec": false} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^TestAlarm$")
			cmd.Env = append(os.Environ(), alarmEnv+"="+kind)
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(20*time.Second, func() { _ = stdin.Close() }) // or it would wait for ever
			err = cmd.Run()
			var exit *exec.ExitError
			if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL != killed || (err != nil) != killed {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}
