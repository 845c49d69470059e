// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/oci-secrets/oci-secrets/resolver/private"
)

// counters are the samples of node-exporter's textfile collector, by name and
// labels. They live in the file alone: each start reads it, adds and writes it
// anew. After a failure of power it may be gone, which is a restart of the
// counters like any other.
type counters map[string]float64

// prefix is of all names.
const prefix = "oci_secrets_"

// families are what is always in the file, so that a rate has a beginning; and
// what they are.
var families = []struct{ name, kind, help string }{
	{"deliveries_total", "counter", "Starts of containers that ask for secrets."},
	{"delivery_seconds", "summary", "How long they took."},
	{"vault_requests_total", "counter", "Requests that were sent to Vault."},
	{"vault_logins_total", "counter", "Logins at Vault that were tried."},
	{"vault_renewals_total", "counter", "Renewals of tokens and leases."},
	{"vault_retries_total", "counter", "Requests that were sent again."},
	{"vault_failovers_total", "counter", "Changes to another server of the cluster."},
	{"stale_answers_total", "counter", "Answers from before that were used while Vault was not there."},
	{"leases_total", "counter", "Leases that were taken for containers."},
}

// lockPatience is how long a start waits for others that count.
const lockPatience = 100 * time.Millisecond

// maxMetrics is far above what the file can grow to.
const maxMetrics = 1 << 20

// counters are what this start adds.
func (d *Delivery) counters(outcome string, took time.Duration) counters {
	c := counters{}
	c[fmt.Sprintf("%sdeliveries_total{way=%q,outcome=%q}", prefix, d.way, outcome)] = 1
	c[fmt.Sprintf("%sdelivery_seconds_sum{way=%q}", prefix, d.way)] = took.Seconds()
	c[fmt.Sprintf("%sdelivery_seconds_count{way=%q}", prefix, d.way)] = 1
	for name, n := range d.record.Counts() {
		c[prefix+name+"_total"] += float64(n)
	}
	return c
}

// add adds to the counters in the file.
func add(file string, more counters) (err error) {
	p, err := private.LocateNoFollow(file)
	if err != nil {
		return err
	}
	defer p.Close()
	defer func() { err = p.Explain(err) }()
	path := p.Path()
	unlock, err := lock(beside(path, ".lock"))
	if err != nil {
		return err
	}
	defer unlock()
	c, err := readCounters(path)
	if err != nil {
		return err
	}
	for key, n := range more {
		c[key] += n
	}
	temp := beside(path, ".new") // whose name the collector does not read; only who has the lock writes it
	err = writeFile(temp, c.text())
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		_ = os.Remove(temp) // it may not be there
	}
	return err
}

// beside is a hidden file in the directory of path.
func beside(path, end string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+end)
}

// lock takes the lock of the counters, which ends with the process at the latest.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|openFlags, 0o600)
	if err != nil {
		return nil, err
	}
	// Who asks again and again loses to those who wait.
	release := func() { _ = f.Close() } // only locked
	taken, late := make(chan error), make(chan struct{})
	go func() {
		err := flock(f)
		select {
		case taken <- err:
		case <-late:
			release()
		}
	}()
	select {
	case err := <-taken:
		if err != nil {
			release()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		return release, nil
	case <-time.After(lockPatience):
		close(late)
		return nil, fmt.Errorf("%s is held by others for longer than %s", path, lockPatience)
	}
}

func flock(f *os.File) error {
	for {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// readCounters reads the file at path; none where it is not there. What is not
// ours to write anew is an error.
func readCounters(path string) (counters, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|openFlags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return counters{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	if err := regular(f); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxMetrics+1))
	if err != nil {
		return nil, err
	}
	c, ok := parseCounters(string(b))
	if !ok || len(b) > maxMetrics {
		return nil, fmt.Errorf("%s is not, or not wholly, what oci-secrets writes, and is left as it is; move it away", path)
	}
	return c, nil
}

// parseCounters reads what text writes.
func parseCounters(text string) (counters, bool) {
	c := counters{}
	for text != "" {
		line, rest, whole := strings.Cut(text, "\n")
		text = rest
		key, value, _ := strings.Cut(line, " ")
		switch {
		case !whole:
			return nil, false
		case strings.HasPrefix(line, "# HELP "+prefix), strings.HasPrefix(line, "# TYPE "+prefix):
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if _, twice := c[key]; twice || err != nil || n < 0 || math.IsInf(n, 0) || math.IsNaN(n) || !isSample(key) {
			return nil, false
		}
		c[key] = n
	}
	return c, true
}

// isSample reports whether key is a name of ours, with labels or without.
func isSample(key string) bool {
	name, labels, ok := strings.Cut(key, "{")
	return strings.HasPrefix(name, prefix) && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") == "" &&
		(!ok || strings.HasSuffix(labels, `"}`) && strings.Contains(labels, `="`))
}

// text is the file.
func (c counters) text() string {
	var b strings.Builder
	left := maps.Clone(c)
	write := func(of func(name string) bool) {
		for _, key := range slices.Sorted(maps.Keys(left)) {
			if name, _, _ := strings.Cut(key, "{"); of(name) {
				fmt.Fprintf(&b, "%s %s\n", key, strconv.FormatFloat(left[key], 'g', -1, 64))
				delete(left, key)
			}
		}
	}
	for _, f := range families {
		name := prefix + f.name
		if _, ok := left[name]; !ok && strings.HasSuffix(name, "_total") && f.name != "deliveries_total" {
			left[name] = 0
		}
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", name, f.help, name, f.kind)
		write(func(n string) bool {
			return n == name || f.kind == "summary" && (n == name+"_sum" || n == name+"_count")
		})
	}
	write(func(string) bool { return true }) // of another version
	return b.String()
}

// writeFile makes a file that the collector, another user, may read. What is
// there is replaced and not written to: in a directory of that user's it may be a
// link to any other file.
func writeFile(path, text string) (err error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Chmod(0o644), f.Close())
}
