// SPDX-License-Identifier: Apache-2.0

package argv

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	for line, want := range map[string]struct{ command, bundle, config, log, root, id string }{
		// As containerd, conmon and people write them.
		"--root /r --log /l --log-format json create --bundle /b --pid-file /p c": {"create", "/b", "", "/l", "/r", "c"},
		"create --bundle /b --pid-file /p c":                                      {"create", "/b", "", "", "", "c"},
		"run -d -b /b c":                                                          {"run", "/b", "", "", "", "c"},
		"run -b=/b c":                                                             {"run", "/b", "", "", "", "c"},
		"run --b /b c":                                                            {"run", "/b", "", "", "", "c"},
		"run -bundle /b c":                                                        {"run", "/b", "", "", "", "c"},
		"run -db/b c":                                                             {"run", "/b", "", "", "", "c"},
		"run -dfx.json c":                                                         {"run", "", "x.json", "", "", "c"},
		"run --bundl=/b c":                                                        {"run", "/b", "", "", "", "c"},
		"create c":                                                                {"create", "", "", "", "", "c"},
		"create c --bundle /b":                                                    {"create", "/b", "", "", "", "c"},
		"create -- c --bundle /b":                                                 {"create", "", "", "", "", "c"},
		"create --bundle create create":                                           {"create", "create", "", "", "", "create"},
		"--root create create --bundle=/b c":                                      {"create", "/b", "", "", "create", "c"},
		"create --bundle /a --bundle /b c":                                        {"create", "/b", "", "", "", "c"},
		"run --pid-file -- c --bundle /b":                                         {"run", "/b", "", "", "", "c"},
		"run --pid-file -- -- c --bundle /b":                                      {"run", "", "", "", "", "c"},
		"create --bundle= c":                                                      {"create", "", "", "", "", "c"},
		"--debug --systemd-cgroup --log=/l create --console-socket /s --no-pivot --preserve-fds 3 --bundle /b c": {"create", "/b", "", "/l", "", "c"},
		// Flags that are not known.
		"--rootless create --bundle /b c":      {"create", "/b", "", "", "", "c"},
		"--rootless true create --bundle /b c": {"create", "/b", "", "", "", "c"},
		"--rootless=auto run --bundle /b c":    {"run", "/b", "", "", "", "c"},
		"--new create --bundle /b c":           {"create", "/b", "", "", "", "c"},
		"--new=value create --bundle /b c":     {"create", "/b", "", "", "", "c"},
		"--new value create --bundle /b c":     {"create", "/b", "", "", "", "c"},
		"--new kill create --bundle /b c":      {"create", "/b", "", "", "", "c"},
		"--new create create --bundle /b c":    {"create", "/b", "", "", "", "c"},
		"create --new --bundle /b c":           {"create", "/b", "", "", "", "c"},
		"create --new value --bundle /b c":     {"create", "/b", "", "", "", "value"},
		"create -Z --bundle /b c":              {"create", "/b", "", "", "", "c"},
		"--platform=ptrace -log /l create c":   {"create", "", "", "/l", "", "c"},
		"--network none --root /r delete c":    {"delete", "", "", "", "/r", ""},
		"":                                     {},
		"--version":                            {},
		"--root":                               {},
		"create --bundle":                      {command: "create"},
		"kill --bundle /b c":                   {command: "kill"},
		"--log /l --log-format json features":  {command: "features", log: "/l"},
	} {
		c := Parse(strings.Fields(line))
		got := want
		got.command = c.Command
		got.bundle, _ = Last(c.Local, "bundle")
		got.config, _ = Last(c.Local, "config")
		got.log, _ = Last(c.Global, "log")
		got.root, _ = Last(c.Global, "root")
		if got.id = ""; c.Rest < len(c.Args) {
			got.id = c.Args[c.Rest]
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(want)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", line, diff)
		}
	}
}

func TestParseExec(t *testing.T) {
	for line, want := range map[string]struct {
		flags string // NAME=VALUE, and a ? behind those that are not known
		rest  string
	}{
		"exec --process /p --detach --pid-file /f c": {"process=/p detach= pid-file=/f", "c"},
		"exec -p /p -d c":                           {"process=/p detach=", "c"},
		"exec -dtp/p c":                             {"detach= tty= process=/p", "c"},
		"exec -dt -e A=1 -eB=2 c ls -l":             {"detach= tty= env=A=1 env=B=2", "c ls -l"},
		"exec --env=A=1=2 --env B= --tty=false c x": {"env=A=1=2 env=B= tty=false", "c x"},
		"exec --user 1:2 -g 3 -g 4 --cap CAP_X c x": {"user=1:2 additional-gids=3 additional-gids=4 cap=CAP_X", "c x"},
		"exec c --env A=1":                          {"", "c --env A=1"},
		"exec -d=false -t=true c x":                 {"detach=false tty=true", "c x"},
		"exec -- c --env A=1":                       {"", "c --env A=1"},
		"exec --new c x":                            {"new=?", "c x"},
		"exec --new=v c x":                          {"new=v?", "c x"},
		"exec -Z c x":                               {"Z=?", "c x"},
		"exec --pi c x":                             {"pi=?", "c x"}, // the beginning of more than one
		"exec --ign --cw / c x":                     {"ignore-paused= cwd=/", "c x"},
		"exec -env A=1 -process /p c":               {"env=A=1 process=/p", "c"},
		"exec":                                      {"", ""},
	} {
		c := Parse(strings.Fields(line))
		var flags []string
		for _, o := range c.Local {
			f := o.Name + "=" + o.Value
			if !o.Known {
				f += "?"
			}
			flags = append(flags, f)
		}
		if got := strings.Join(flags, " "); got != want.flags {
			t.Errorf("%s: flags %q, want %q", line, got, want.flags)
		}
		if got := strings.Join(c.Args[c.Rest:], " "); got != want.rest {
			t.Errorf("%s: the rest is %q, want %q", line, got, want.rest)
		}
	}
}
