// SPDX-License-Identifier: Apache-2.0

// Package bench prints the table of README.md: medians and ratios, each pair
// measured alternating in one run, so that what else the machine does meets
// both alike. It is run by `make bench`, and judges nothing.
package bench

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/test/child"
	"github.com/oci-secrets/oci-secrets/test/rig"
	"github.com/oci-secrets/oci-secrets/test/vaulttest"
)

var table = flag.Bool("table", false, "measure, and print the table")

func TestMain(m *testing.M) {
	code := m.Run()
	rig.Cleanup()
	os.Exit(code)
}

// TestTable measures. Without -table it makes one round of everything, which
// shows that the benchmark itself works.
func TestTable(t *testing.T) {
	rig.NeedRoot(t)
	rounds := func(n int) int {
		if *table {
			return n
		}
		return 1
	}
	f := newFixture(t)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	line := func(cells ...string) { _, _ = fmt.Fprintf(w, "| %s\t|\n", strings.Join(cells, "\t| ")) }
	line("work", "against", "median", "its median", "ratio", "aim")
	line("---", "---", "---", "---", "---", "---")
	pair := func(work, against, aim string, n int, a, b func()) {
		ma, mb := alternate(rounds(n), a, b)
		line(work, against, ms(ma), ms(mb), fmt.Sprintf("%.2fx", float64(ma)/float64(mb)), aim)
	}

	pair("`runc run` with in-flight hook, one dict secret", "same with `/bin/true` as prestart hook", "<= 1.15x", 100,
		rested(func() { f.run(t, f.secret) }), rested(func() { f.run(t, f.plain) }))
	pair("precreate, no request", "`cat`", "<= 2x", 500,
		func() { f.filter(t, f.nothing, f.binary, "precreate", "--config", f.dict) }, func() { f.filter(t, f.nothing, "cat") })
	pair("precreate, one dict secret", "`cat`", "<= 3x", 500,
		func() { f.filter(t, f.asking, f.binary, "precreate", "--config", f.dict) }, func() { f.filter(t, f.asking, "cat") })
	pair("hook, one secret from Vault over TLS (token given)", "one `curl` of the same read", "<= 1.3x", 100,
		f.hook(t, "s0", nil), func() { f.curl(t) })
	loggedIn, _ := f.loggedIn(t)
	given := f.vault
	f.vault = loggedIn
	pair("hook, one secret from Vault over TLS (AppRole, login kept)", "one `curl` of the same read", "<= 1.3x", 100,
		f.hook(t, "s0", nil), func() { f.curl(t) })
	f.vault = given
	var all []string
	for i := range 100 {
		all = append(all, "s"+strconv.Itoa(i))
	}
	pair("hook, 100 names from Vault", "1 name", "<= 3x", 50,
		f.hook(t, strings.Join(all, " "), nil), f.hook(t, "s0", nil))

	shimRows(t, rounds, line)
	stormRow(t, rounds, line, f)
	nriRow(t, line)

	var peaks []int
	for range rounds(20) {
		f.hook(t, "s0", func(kib int) { peaks = append(peaks, kib) })()
	}
	line("peak memory: hook, one secret from Vault", "", mib(median(peaks)), "", "", "<= 25 MiB")
	line("peak memory: waiting tracer", "", mib(f.tracerPeak(t)), "", "", "<= 6 MiB")
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

// alternate runs a and b in turn and gives the median time of each.
func alternate(rounds int, a, b func()) (ma, mb time.Duration) {
	a()
	b()
	paused = 0
	var ta, tb []time.Duration
	for range rounds {
		for _, x := range []struct {
			run   func()
			times *[]time.Duration
		}{{a, &ta}, {b, &tb}} {
			begin := time.Now()
			x.run()
			*x.times = append(*x.times, time.Since(begin)-paused)
			paused = 0
		}
	}
	return median(ta), median(tb)
}

// paused is the time within a measured function that does not count.
var paused time.Duration

func pause(f func()) {
	begin := time.Now()
	f()
	paused += time.Since(begin)
}

// rested is f on a host where nothing was started for a moment. A process is moved
// into a control group at once where that was done just before, and after a grace
// period of the kernel's of some 10 ms otherwise (percpu_rw_semaphore, of
// cgroup.procs): a measured start that follows another one would be measured with
// or without that, by how long the other one took.
func rested(f func()) func() {
	return func() {
		pause(func() { time.Sleep(20 * time.Millisecond) })
		f()
	}
}

func median[T int | time.Duration](v []T) T {
	slices.Sort(v)
	return v[len(v)/2]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000) }

func mib(kib int) string { return fmt.Sprintf("%.1f MiB", float64(kib)/1024) }

// fixture is everything that is measured.
type fixture struct {
	binary, peak    string
	runc            *rig.Runtime
	secret, plain   *rig.Bundle
	nothing, asking string // files with a config.json
	dict, vault     string // settings
	server          *vaulttest.Server
	header          string // a file with curl's token header
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	dir := t.TempDir()
	f := &fixture{binary: rig.Binary(t), peak: filepath.Join(dir, "peak"), runc: rig.NewRuntime(t, rig.Runc)}
	build := exec.Command("go", "build", "-o", f.peak, "./test/bench/peak")
	build.Dir = rig.Root(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	f.secret = rig.NewBundle(t, "prestart", map[string]map[string]string{"db": {"DB_PASSWORD": "hunter2"}})
	f.secret.Annotate("secrets.oci/from", "db")
	f.secret.Write(t)
	f.dict = f.secret.Config
	f.plain = rig.NewBundle(t, "", nil)
	f.plain.Annotate("secrets.oci/from", "db")
	f.plain.Hook(t, "prestart", "/bin/true")
	f.plain.Write(t)

	// What podman writes is about ten times as long as what a bundle needs.
	padded := *f.secret.Spec
	padded.Annotations = map[string]string{}
	for i := range 100 {
		padded.Annotations["io.example.annotation."+strconv.Itoa(i)] = strings.Repeat("v", 60)
	}
	for path, asks := range map[*string]bool{&f.nothing: false, &f.asking: true} {
		if asks {
			padded.Annotations["secrets.oci/from"] = "db"
		}
		text, err := json.MarshalIndent(padded, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		delete(padded.Annotations, "secrets.oci/from")
		*path = filepath.Join(dir, strconv.FormatBool(asks)+".json")
		rig.WriteFile(t, *path, string(text), 0o600)
	}

	f.server = vaulttest.Start(t, vaulttest.Options{})
	f.server.Mount(t, "bench", 2)
	for i := range 100 {
		f.server.Put(t, 2, "bench", "containers/s"+strconv.Itoa(i), map[string]any{"KEY_" + strconv.Itoa(i): "hunter2"})
	}
	rig.WriteFile(t, filepath.Join(dir, "token"), f.server.RootToken, 0o600)
	f.header = filepath.Join(dir, "header")
	rig.WriteFile(t, f.header, "X-Vault-Token: "+f.server.RootToken, 0o600)
	f.vault = filepath.Join(dir, "vault.toml")
	state := filepath.Join(dir, "state")
	t.Cleanup(func() { _ = unix.Unmount(state, unix.MNT_DETACH) })
	rig.WriteFile(t, f.vault, fmt.Sprintf(`state_dir = %q
[vault]
address = %q
mount = "bench"
prefix = "containers"
ca_cert = %q
[vault.auth]
method = "token_file"
token_file = "token"
`, state, f.server.Address, f.server.CAFile), 0o600)
	return f
}

// run runs a container to its end.
func (f *fixture) run(t *testing.T, b *rig.Bundle) {
	t.Helper()
	command(t, nil, f.runc.Argv("run", "--bundle", b.Dir, b.ID)...)
}

// filter runs a command that copies config.json.
func (f *fixture) filter(t *testing.T, config string, argv ...string) {
	t.Helper()
	in, err := os.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close() //nolint:errcheck // only read from
	command(t, in, argv...)
}

func (f *fixture) curl(t *testing.T) {
	t.Helper()
	command(t, nil, "curl", "--silent", "--fail", "--cacert", f.server.CAFile, "--header", "@"+f.header,
		f.server.Address+"/v1/bench/data/containers/s0")
}

// hook gives a function that runs the hook for a process that waits for it as
// a container's init does: a child of this process, which stands for the
// runtime, in a mount namespace of its own. Only the hook's time counts. With
// peak, the hook's largest resident set is measured instead.
func (f *fixture) hook(t *testing.T, names string, peak func(kib int)) func() {
	t.Helper()
	argv := []string{f.binary, "hook", "--config", f.vault}
	return func() {
		t.Helper()
		cmd := exec.Command("sh", "-c", "read _; exec true")
		var initProcess *child.Process
		var release io.WriteCloser
		pause(func() {
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
			var err error
			if release, err = cmd.StdinPipe(); err == nil {
				initProcess, err = child.Start(cmd)
			}
			if err != nil {
				t.Fatal(err)
			}
		})
		state := fmt.Sprintf(`{"ociVersion":"1.0.2","id":"bench","status":"creating","pid":%d,"bundle":"/","annotations":{"secrets.oci/from":%q}}`,
			initProcess.Pid, names)
		if peak == nil {
			command(t, strings.NewReader(state), argv...)
		} else {
			peak(measured(t, state, append([]string{f.peak}, argv...)...))
		}
		pause(func() {
			_, _ = io.WriteString(release, "\n")
			<-initProcess.Exited
			if !cmd.ProcessState.Success() {
				t.Fatalf("the program did not run: %v", cmd.ProcessState)
			}
		})
	}
}

// measured runs peak and reads what it says.
func measured(t *testing.T, stdin string, argv ...string) int {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.ExtraFiles = []*os.File{w}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	kib, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return kib
}

// tracerPeak is the peak of the tracer beside a created container, in KiB.
func (f *fixture) tracerPeak(t *testing.T) int {
	t.Helper()
	rig.MustRun(t, f.runc.Argv("create", "--bundle", f.secret.Dir, f.secret.ID)...)
	pid := f.runc.PID(t, f.secret.ID)
	tracer, err := field(fmt.Sprintf("/proc/%d/status", pid), "TracerPid:")
	if err != nil {
		t.Fatal(err)
	}
	peak, err := field(fmt.Sprintf("/proc/%d/status", tracer), "VmHWM:")
	if err != nil {
		t.Fatal(err)
	}
	rig.MustRun(t, f.runc.Argv("delete", "--force", f.secret.ID)...)
	return peak
}

// field reads the number behind a name in a file of /proc.
func field(path, name string) (int, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	_, rest, ok := bytes.Cut(b, []byte(name))
	if !ok {
		return 0, fmt.Errorf("no %s in %s", name, path)
	}
	return strconv.Atoi(string(bytes.Fields(rest)[0]))
}

// command runs a command that must succeed; what it prints goes to /dev/null.
func command(t *testing.T, stdin io.Reader, argv ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Stdin = stdin
	if err := cmd.Run(); err != nil {
		t.Fatalf("%q: %v", argv, err)
	}
}
