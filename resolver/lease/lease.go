// SPDX-License-Identifier: Apache-2.0

// Package lease remembers what was leased for which container: a lease is to
// live as long as its container, and neither longer nor shorter.
//
// A record is written before a container gets the values, at poststop its lease
// is given back and the record removed. What nobody could do at the time, because
// the host went down, a hook did not run or the server did not answer, package
// keeper finds in the records. They are in memory (package memory), as the lease
// ends with the host's containers, and hold no value: whoever has the id of a
// lease can do nothing without a token.
//
// What it does not protect against: an answer that was lost on the way. Nobody
// here knows the lease then, and it ends with its time.
package lease

import (
	"time"

	"github.com/oci-secrets/oci-secrets/resolver/process"
)

// Record is one lease of a container.
type Record struct {
	Container string        `json:"container"` // as the runtime has it in its state, as the next two
	Bundle    string        `json:"bundle"`
	Pid       int           `json:"pid"`     // of the first process; 0 where it has none on this kernel
	Started   string        `json:"started"` // its start time; see package process
	ID        string        `json:"lease"`
	Path      string        `json:"path"` // on the server
	Issued    time.Duration `json:"issued"`
	Asked     time.Duration `json:"asked"` // the first TTL, for which renewals ask
	TTL       time.Duration `json:"ttl"`   // from Issued on, which is a time of memory.Now
	Renewable bool          `json:"renewable"`
	Session   string        `json:"session,omitempty"` // under which the token of the lease is kept

	Broken error `json:"-"` // the file is not what it must be, and Path is its name
}

// Expires is when the lease ends, as a time of [memory.Now].
func (r *Record) Expires() time.Duration { return r.Issued + r.TTL }

// Gone reports whether the container is gone.
func (r *Record) Gone() bool { return process.Gone(r.Pid, r.Started, r.Bundle) }
