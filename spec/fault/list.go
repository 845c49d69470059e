// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"errors"
	"fmt"
)

// maxListed is enough for every item of the longest annotation: all that is
// missing is told at once, and a hopeless request cannot fill a log.
const maxListed = 1000

// List collects all that is wrong, so that whoever mends it gets one round and
// not one for each thing. It keeps the first ones and counts the rest.
type List struct {
	errs  []error
	more  int
	class Class // that decides for the ones that are only counted
}

// Add takes one thing that is wrong.
func (l *List) Add(err error) {
	if len(l.errs) < maxListed {
		l.errs = append(l.errs, err)
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
