// SPDX-License-Identifier: Apache-2.0

// Package keep remembers, in memory, what a container's first process got, so
// that the processes which `exec` starts in the container get the same: also
// after a secret was changed at its source, and without asking there.
//
// The hook puts it there when the runtime shim asked for it (spec.KeepFlag), the
// shim's exec gets it, and at poststop package pass removes it. A file is of use as long as
// the first process lives, which is told by its start time, so that neither a
// missed poststop nor a reused container id gives one container's values to
// another.
package keep

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/oci-secrets/oci-secrets/resolver/memory"
	"github.com/oci-secrets/oci-secrets/resolver/memory/place"
	"github.com/oci-secrets/oci-secrets/resolver/process"
)

// Container says whose variables they are. Both are as the runtime has them in
// its state.
type Container struct{ ID, Bundle string }

// Put keeps vars, "NAME=value" strings, for a container. pid is that of its
// first process; 0 where it has none on this kernel.
func Put(dir string, c Container, pid int, vars []string) error {
	root, err := memory.Make(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // the file's own is checked
	if err := root.Mkdir(place.Execs, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	started, err := process.Started(pid)
	if err != nil {
		return err
	}
	// What poststop should have removed, and did not: rootless crun runs none under
	// podman 4.3.1. A start looks at so many at the most.
	if err := sweep(root, 512); err != nil {
		return err
	}
	b := record(append([]string{strconv.Itoa(pid), started, c.ID, c.Bundle}, vars...)...)
	defer clear(b)
	return memory.Write(root, place.Exec(c.ID), b)
}

// Get gives what was kept for a container. An error that is fs.ErrNotExist says
// that there is nothing, or nothing any more.
func Get(dir string, c Container) ([]string, error) {
	root, err := memory.Open(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // only read from
	b, err := root.ReadFile(place.Exec(c.ID))
	if err != nil {
		return nil, err
	}
	fields := split(b)
	// Another container of another engine may have the same id.
	if len(fields) < 4 || fields[2] != c.ID || fields[3] != c.Bundle || ended(fields) {
		return nil, fs.ErrNotExist
	}
	return fields[4:], nil
}

// sweep removes the files of containers whose first process has ended, or whose
// bundle is gone where it cannot be told, of the first n.
func sweep(root *os.Root, n int) error {
	dir, err := root.Open(place.Execs)
	if err != nil {
		return err
	}
	names, err := dir.Readdirnames(n)
	if errors.Is(err, io.EOF) { // there are none
		err = nil
	}
	err = errors.Join(err, dir.Close())
	for _, name := range names {
		name = place.Execs + "/" + name
		f, openErr := root.Open(name)
		if openErr != nil {
			continue // it went in between
		}
		fields := head(f)
		_ = f.Close() // only read from
		if len(fields) == 4 && gone(fields) {
			if removeErr := root.Remove(name); !errors.Is(removeErr, fs.ErrNotExist) { // another start was faster
				err = errors.Join(err, removeErr)
			}
		}
	}
	return err
}

// head reads a record up to the variables; less where not all of it is there.
func head(f io.Reader) (fields []string) {
	r := bufio.NewReaderSize(f, 64)
	for range 4 {
		field, err := r.ReadString(0)
		if err != nil {
			break
		}
		fields = append(fields, strings.TrimSuffix(field, "\x00"))
	}
	return fields
}

// record is the form of a file: fields, each with a NUL behind it. They are the
// pid and start time of the first process, whose variables they are, and these.
func record(fields ...string) []byte {
	size := 0
	for _, f := range fields {
		size += len(f) + 1
	}
	b := make([]byte, 0, size)
	for _, f := range fields {
		b = append(append(b, f...), 0)
	}
	return b
}

func split(b []byte) []string { return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00") }

// ended reports whether the process of a record has ended.
func ended(fields []string) bool {
	pid, err := strconv.Atoi(fields[0])
	return err != nil || process.Ended(pid, fields[1])
}

// gone is ended, also of a container that has no process on this kernel.
func gone(fields []string) bool {
	pid, err := strconv.Atoi(fields[0])
	return err != nil || process.Gone(pid, fields[1], fields[3])
}
