// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/oci-secrets/oci-secrets/resolver/memory"
	"github.com/oci-secrets/oci-secrets/resolver/memory/place"
)

// Put writes the record of a lease, below the state directory dir.
func Put(dir string, r Record) error {
	root, err := memory.Make(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // the file's own is checked
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	// Remove takes away a folder that it has emptied, also in between.
	for range 10 {
		for _, folder := range []string{place.Leases, place.Lease(r.Container)} {
			if err := root.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if err = memory.Write(root, r.file(), b); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil { // a folder says that there are leases
		_ = root.Remove(place.Lease(r.Container))
	}
	return err
}

// Update writes a record anew, unless it was removed.
func Update(dir string, r Record) error {
	root, err := memory.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // the file's own is checked
	if _, err := root.Stat(r.file()); err != nil {
		return gone(err)
	}
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return gone(memory.Write(root, r.file(), b))
}

// Remove removes a record; one that is not there is removed.
func Remove(dir string, r Record) error {
	root, err := memory.Open(dir)
	if err != nil {
		return gone(err)
	}
	defer func() { _ = root.Close() }() // nothing was written
	err = gone(root.Remove(r.file()))
	// The last one takes the folder along, which says that there are some.
	_ = root.Remove(place.Lease(r.Container))
	return err
}

// List gives all records, in the order of containers and paths. Those that
// cannot be read are among them. Without a state directory there are none. What a
// start left that was killed is taken away: it says that there is something.
func List(dir string) ([]Record, error) {
	return list(dir, func(root *os.Root) ([]string, error) { return names(root, place.Leases) })
}

// Of gives the records of a container.
func Of(dir, container string) ([]Record, error) {
	records, err := list(dir, func(*os.Root) ([]string, error) { return []string{place.Lease(container)}, nil })
	// Another one's id may have the same hash.
	return slices.DeleteFunc(records, func(r Record) bool { return r.Broken == nil && r.Container != container }), err
}

// file is the place of the record below the state directory.
func (r *Record) file() string {
	return place.Lease(r.Container) + "/" + strings.TrimPrefix(place.Lease(r.ID), place.Leases+"/")
}

func list(dir string, folders func(*os.Root) ([]string, error)) ([]Record, error) {
	root, err := memory.Open(dir)
	if err != nil {
		return nil, gone(err)
	}
	defer func() { _ = root.Close() }() // only read from
	all, err := folders(root)
	if err != nil {
		return nil, err
	}
	var records []Record
	for _, folder := range all {
		files, err := names(root, folder)
		if err != nil {
			records = append(records, Record{Path: folder, Broken: err})
			continue
		}
		for _, file := range files {
			if strings.Contains(file, ".") { // one that is being written
				if memory.Abandoned(file) {
					_ = root.Remove(file) // or the next one does
				}
				continue
			}
			r := read(root, file)
			if !errors.Is(r.Broken, fs.ErrNotExist) { // it went in between
				records = append(records, r)
			}
		}
		_ = root.Remove(folder) // if that was all
	}
	slices.SortFunc(records, func(a, b Record) int {
		return cmp.Or(strings.Compare(a.Container, b.Container), strings.Compare(a.Path, b.Path), strings.Compare(a.ID, b.ID))
	})
	return records, nil
}

func read(root *os.Root, file string) Record {
	var r Record
	b, err := root.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err == nil && (r.ID == "" || r.file() != file) {
		err = errors.New("not the record of a lease")
	}
	if err != nil {
		return Record{Path: file, Broken: err}
	}
	return r
}

// names are the paths of what is in a folder.
func names(root *os.Root, folder string) ([]string, error) {
	dir, err := root.Open(folder)
	if err != nil {
		return nil, gone(err)
	}
	defer func() { _ = dir.Close() }() // only read from
	list, err := dir.Readdirnames(-1)
	for i, name := range list {
		list[i] = folder + "/" + name
	}
	return list, err
}

// gone is err, unless that says that there is no such thing.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
