// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"flag"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

var table = flag.Bool("table", false, "measure, and print a line for README's table")

// TestMany starts containers eight at a time, and looks at what each got. With
// -table it measures that against containers without secrets and without the
// shim.
func TestMany(t *testing.T) {
	if !*table {
		t.Parallel()
	}
	s := newSite(t, way{shim: true}, three)
	s.must(t, "images", "import", "--snapshotter", "overlayfs", archive(t))
	n, rounds := 24, 1
	if *table {
		n, rounds = 200, 3
	}
	many := func(name string, want map[string]string, flags ...string) time.Duration {
		t.Helper()
		var wg sync.WaitGroup
		numbers := make(chan int)
		begin := time.Now()
		for range 8 {
			wg.Go(func() {
				for i := range numbers {
					id := name + strconv.Itoa(i)
					argv := append([]string{"run", "--rm", "--cgroup", "/" + filepath.Base(base) + "/" + id}, flags...)
					out := s.ctr(t, append(argv, image, id, rig.PayloadPath, "report")...)
					if out.Code != 0 {
						t.Errorf("%s: exit code %d\n%s", id, out.Code, out.Stderr)
						continue
					}
					wantEnv(t, id, rig.ParseReport(t, out.Stdout).Env, want)
				}
			})
		}
		for i := range n {
			numbers <- i
		}
		close(numbers)
		wg.Wait()
		return time.Since(begin)
	}
	var with, without time.Duration
	for i := range rounds {
		with += many(fmt.Sprintf("with%d-", i), map[string]string{"DB_USER": "app", "DB_PASSWORD": "hunter2", "SHARED": "db"},
			"--runc-binary", s.dir+"/oci-secrets-runtime", "--annotation", "secrets.oci/from=db")
		without += many(fmt.Sprintf("without%d-", i), nil)
	}
	if *table {
		rate := func(d time.Duration) string { return fmt.Sprintf("%.1f/s", float64(n*rounds)/d.Seconds()) }
		fmt.Printf("| %d containers of containerd's `ctr`, 8 at a time: shim, one dict secret | `runc`, without secrets | %s | %s | %.2fx | >= 0.9x |\n", //nolint:forbidigo // the table
			n, rate(with), rate(without), float64(without)/float64(with))
	}
}
