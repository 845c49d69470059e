// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"errors"
	"fmt"

	"github.com/oci-secrets/oci-secrets/spec/limit"
)

const maxText = limit.ErrorText / 2

// List collects all that is wrong, so that whoever mends it gets one round and
// not one for each thing. It keeps the first ones, as long as their text, with what
// is added where it is told, is within [limit.ErrorText], and counts the rest: what
// annotations say can be wrong in more ways than anybody reads.
type List struct {
	errs  []error
	size  int // bytes of their text
	more  int
	class Class // that decides for the ones that are only counted
}

// Add takes one thing that is wrong.
func (l *List) Add(err error) {
	if l.size < maxText {
		l.errs = append(l.errs, err)
		l.size += len(err.Error()) + len("\n")
		return
	}
	l.more++
	l.class, _ = ClassOf(errors.Join(l.class, err))
}

// Err joins what was added; nil if nothing was. The class of the whole is the
// same as if all of it were there.
func (l *List) Err() error {
	if l.more == 0 {
		return errors.Join(l.errs...)
	}
	rest := &Error{Class: l.class, Err: fmt.Errorf("and %d more", l.more)}
	return errors.Join(append(l.errs[:len(l.errs):len(l.errs)], rest)...)
}
