// SPDX-License-Identifier: Apache-2.0

// Package argv reads the command lines of runtimes, as far as the shim needs
// them. It imports nothing that is initialised late, because package pass reads
// them before anything else of the program has been initialised.
package argv

import "slices"

// DefaultPath is searched for the real runtime where the environment has no PATH.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Line is the command line of a runtime, as far as the shim reads it.
// What it does not know it leaves alone.
type Line struct {
	Args    []string // without the program's name
	Command string   // "" where there is none
	At      int      // where the command stands in args
	Global  []Option // before the command
	Local   []Option // behind it
	Rest    int      // where the first argument that is no flag stands in args; len(args) where there is none
}

// Option is one flag: args[From:To].
type Option struct {
	Name     string // without dashes, by its long name
	Value    string
	From, To int
	Known    bool
}

// kinds are the flags that are known to take a value, or none. Runtimes have
// others; which of these a runtime has is its own business.
//
// runc reads its flags with urfave/cli: one or two dashes, a value behind = or in
// the next argument. crun reads them with argp: long ones with two dashes, also
// shortened, and short ones that may stand together and have their value
// attached. runsc reads them with Go's package flag.
type kinds struct {
	values, switches []string
	short            map[byte]string // the long names
}

var globalFlags = kinds{
	// Not --rootless, which has a value in runc and crun, and none in runsc.
	values:   []string{"root", "log", "log-format", "log-level", "criu", "cgroup-manager", "debug-log", "debug-log-format", "panic-log", "user-log"},
	switches: []string{"debug", "systemd-cgroup", "help", "version", "usage"},
	short:    map[byte]string{'h': "help", 'v': "version", 'V': "version"},
}

var createFlags = kinds{
	values:   []string{"bundle", "config", "console-socket", "pidfd-socket", "pid-file", "preserve-fds", "user-log"},
	switches: []string{"detach", "keep", "no-pivot", "no-new-keyring", "no-subreaper", "help"},
	short:    map[byte]string{'b': "bundle", 'f': "config", 'd': "detach", 'h': "help"},
}

var execFlags = kinds{
	values: []string{
		"console-socket", "pidfd-socket", "cwd", "env", "user", "additional-gids", "process", "pid-file", "internal-pid-file",
		"process-label", "apparmor", "cap", "preserve-fds", "cgroup",
	},
	switches: []string{"tty", "detach", "no-new-privs", "ignore-paused", "help"},
	short: map[byte]string{
		'e': "env", 't': "tty", 'u': "user", 'g': "additional-gids", 'p': "process", 'd': "detach", 'c': "cap", 'h': "help",
	},
}

// commands are those of runc, crun, runsc and youki. They tell where the
// command is behind a flag that is not known.
var commands = []string{
	"checkpoint", "create", "debug", "delete", "do", "events", "exec", "features", "help", "info", "init", "kill", "list", "mounts", "pause",
	"portforward", "ps", "read-control", "restore", "resume", "run", "spec", "start", "state", "update", "usage", "wait",
}

// IsCommand reports whether name is a command of a runtime's.
func IsCommand(name string) bool { return slices.Contains(commands, name) }

// served are the commands that are not always passed on.
var served = []string{"create", "run", "exec"}

// Parse reads a command line. It refuses nothing: what is wrong with it the real
// runtime says.
func Parse(args []string) *Line {
	c := &Line{Args: args, At: len(args), Rest: len(args)}
	c.Global, c.At = globalFlags.read(args, 0, func(i int) bool {
		// One command right behind another is the value of the flag; the one that
		// matters must not be missed.
		return slices.Contains(commands, args[i]) && (i+1 == len(args) || !slices.Contains(served, args[i+1]))
	})
	if c.At == len(args) {
		return c
	}
	c.Command = args[c.At]
	never := func(int) bool { return true }
	switch c.Command {
	case "create", "run":
		// runc takes flags behind the container's id, too.
		for i := c.At + 1; i < len(args); i++ {
			end := i
			var more []Option
			more, i = createFlags.read(args, i, never)
			c.Local = append(c.Local, more...)
			c.Rest = min(c.Rest, i)
			if len(more) > 0 {
				end = more[len(more)-1].To
			}
			if i > end { // there is a -- that is no flag's value
				break
			}
		}
	case "exec": // what follows the id is another command's
		c.Local, c.Rest = execFlags.read(args, c.At+1, never)
	}
	return c
}

// read reads flags from args[i] on, up to the first argument that is none, and
// gives its index. An argument behind an unknown flag is taken for the flag's
// value unless it is known to be something else.
func (k kinds) read(args []string, i int, isArgument func(int) bool) (options []Option, next int) {
	for i < len(args) {
		a := args[i]
		if a == "--" {
			return options, i + 1
		}
		if len(a) < 2 || a[0] != '-' {
			return options, i
		}
		name, value, attached := cut(trim(a[1:]))
		switch long := k.long(name, a[1] != '-'); {
		case long == "" && a[1] != '-':
			options = append(options, k.cluster(args, &i)...)
			continue
		case slices.Contains(k.switches, long):
			options = append(options, Option{long, value, i, i + 1, true})
		case long != "" && !attached && i+1 < len(args):
			options = append(options, Option{long, args[i+1], i, i + 2, true})
			i++
		case long != "":
			options = append(options, Option{long, value, i, i + 1, true})
		case !attached && i+1 < len(args) && args[i+1] != "" && args[i+1][0] != '-' && !isArgument(i+1):
			options = append(options, Option{name, args[i+1], i, i + 2, false})
			i++
		default:
			options = append(options, Option{name, value, i, i + 1, false})
		}
		i++
	}
	return options, i
}

// long is the whole name of a long flag; "" where there is no such flag. A
// beginning stands for the only name that begins so.
func (k kinds) long(name string, single bool) string {
	all := slices.Concat(k.values, k.switches)
	if slices.Contains(all, name) {
		return name
	}
	if single {
		return ""
	}
	if len(name) < 2 { // urfave/cli takes --b like -b
		if name == "" {
			return ""
		}
		return k.short[name[0]]
	}
	found := ""
	for _, n := range all {
		if begins(n, name) {
			if found != "" {
				return ""
			}
			found = n
		}
	}
	return found
}

// cluster reads the short flags in args[*i], and goes on behind them.
func (k kinds) cluster(args []string, i *int) (options []Option) {
	from := *i
	*i++
	for letters := args[from][1:]; letters != ""; {
		long, known := k.short[letters[0]]
		letters = letters[1:]
		o := Option{long, "", from, from + 1, known}
		if known && slices.Contains(k.values, long) {
			o.Value, letters = letters, ""
			if begins(o.Value, "=") {
				o.Value = o.Value[1:]
			}
			if o.Value == "" && *i < len(args) && args[from][len(args[from])-1] != '=' {
				o.Value, o.To = args[*i], *i+1
				*i++
			}
		}
		if known && o.Value == "" && begins(letters, "=") { // -t=false, as Go reads it
			o.Value, letters = letters[1:], ""
		}
		if !known {
			o.Name, letters = args[from][1:], ""
		}
		options = append(options, o)
	}
	return options
}

// Last is the value of the last Option called name.
func Last(options []Option, name string) (value string, ok bool) {
	for _, o := range options {
		if o.Known && o.Name == name {
			value, ok = o.Value, true
		}
	}
	return value, ok
}

// All are the values of the options called name.
func All(options []Option, name string) []string {
	var values []string
	for _, o := range options {
		if o.Known && o.Name == name {
			values = append(values, o.Value)
		}
	}
	return values
}

// TakesValue reports whether the long flag of exec takes a value.
func TakesValue(name string) bool { return slices.Contains(execFlags.values, name) }

// ConfigPath is where the runtime reads the configuration of a container from
// that it is told to create.
func (c *Line) ConfigPath() string {
	const name = "config.json"
	// crun's, which is not below the bundle, but for its default (src/create.c).
	if config, _ := Last(c.Local, "config"); config != "" && config != name {
		return config
	}
	if bundle, _ := Last(c.Local, "bundle"); bundle != "" {
		return bundle + "/" + name
	}
	return name
}

func begins(s, with string) bool { return len(s) >= len(with) && s[:len(with)] == with }

// trim takes away the second dash.
func trim(s string) string {
	if begins(s, "-") {
		return s[1:]
	}
	return s
}

// cut is the flag's name, and what is attached to it.
func cut(s string) (name, value string, attached bool) {
	if i := slices.Index([]byte(s), '='); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}
