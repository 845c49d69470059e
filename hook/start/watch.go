// SPDX-License-Identifier: Apache-2.0

package start

import (
	"os"
	"time"

	"github.com/oci-secrets/oci-secrets/resolver/config"
	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/spec/limit"
)

// farewell is how long it may take to tell why the process ends: it may hang
// because of the very place where that is told.
const farewell = 500 * time.Millisecond

// Watch ends this process, wherever it is, when its deadline and [limit.Overtime]
// are over: a file system or a program that does not answer is no reason to leave
// an engine waiting. tell tells it, as an outage. Until the settings are read, the
// deadline is the default one. What it returns ends the watch.
//
// A process that the kernel does not let go of, it cannot end, as nobody can.
func (s *Start) Watch(tell func(error) int) (stop func()) {
	s.begun = time.Now()
	s.watch = time.AfterFunc(config.DefaultDeadline+limit.Overtime, func() {
		told := make(chan struct{})
		go func() {
			tell(fault.New(fault.Unreachable, "", "given up: something did not answer, %v after the deadline", limit.Overtime))
			close(told)
		}()
		select {
		case <-told:
		case <-time.After(farewell):
		}
		os.Exit(int(fault.Unreachable))
	})
	return func() { s.watch.Stop() }
}

// until moves the end of the watch, if there is one, to that of a deadline.
func (s *Start) until(deadline time.Duration) {
	if s.watch != nil {
		s.watch.Reset(time.Until(s.begun.Add(deadline + limit.Overtime)))
	}
}
