// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"slices"
	"strings"
)

// commandLine is the command line of a runtime, as far as the shim reads it.
// What it does not know it leaves alone.
type commandLine struct {
	args    []string // without the program's name
	command string   // "" where there is none
	at      int      // where the command stands in args
	global  []option // before the command
	local   []option // behind it
	rest    int      // where the first argument that is no flag stands in args; len(args) where there is none
}

// option is one flag: args[from:to].
type option struct {
	name     string // without dashes, by its long name
	value    string
	from, to int
	known    bool
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
var commands = strings.Fields("checkpoint create debug delete do events exec features help info init kill list mounts pause portforward ps read-control restore resume run spec start state update usage wait")

// served are the commands that are not always passed on.
var served = []string{"create", "run", "exec"}

// parse reads a command line. It refuses nothing: what is wrong with it the real
// runtime says.
func parse(args []string) *commandLine {
	c := &commandLine{args: args, at: len(args), rest: len(args)}
	c.global, c.at = globalFlags.read(args, 0, func(i int) bool {
		// One command right behind another is the value of the flag; the one that
		// matters must not be missed.
		return slices.Contains(commands, args[i]) && (i+1 == len(args) || !slices.Contains(served, args[i+1]))
	})
	if c.at == len(args) {
		return c
	}
	c.command = args[c.at]
	never := func(int) bool { return true }
	switch c.command {
	case "create", "run":
		// runc takes flags behind the container's id, too.
		for i := c.at + 1; i < len(args); i++ {
			end := i
			var more []option
			more, i = createFlags.read(args, i, never)
			c.local = append(c.local, more...)
			c.rest = min(c.rest, i)
			if len(more) > 0 {
				end = more[len(more)-1].to
			}
			if i > end { // there is a -- that is no flag's value
				break
			}
		}
	case "exec": // what follows the id is another command's
		c.local, c.rest = execFlags.read(args, c.at+1, never)
	}
	return c
}

// read reads flags from args[i] on, up to the first argument that is none, and
// gives its index. An argument behind an unknown flag is taken for the flag's
// value unless it is known to be something else.
func (k kinds) read(args []string, i int, isArgument func(int) bool) (options []option, next int) {
	for i < len(args) {
		a := args[i]
		if a == "--" {
			return options, i + 1
		}
		if len(a) < 2 || a[0] != '-' {
			return options, i
		}
		name, value, attached := strings.Cut(strings.TrimPrefix(a[1:], "-"), "=")
		switch long := k.long(name, a[1] != '-'); {
		case long == "" && a[1] != '-':
			options = append(options, k.cluster(args, &i)...)
			continue
		case slices.Contains(k.switches, long):
			options = append(options, option{long, value, i, i + 1, true})
		case long != "" && !attached && i+1 < len(args):
			options = append(options, option{long, args[i+1], i, i + 2, true})
			i++
		case long != "":
			options = append(options, option{long, value, i, i + 1, true})
		case !attached && i+1 < len(args) && args[i+1] != "" && args[i+1][0] != '-' && !isArgument(i+1):
			options = append(options, option{name, args[i+1], i, i + 2, false})
			i++
		default:
			options = append(options, option{name, value, i, i + 1, false})
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
		if strings.HasPrefix(n, name) {
			if found != "" {
				return ""
			}
			found = n
		}
	}
	return found
}

// cluster reads the short flags in args[*i], and goes on behind them.
func (k kinds) cluster(args []string, i *int) (options []option) {
	from := *i
	*i++
	for letters := args[from][1:]; letters != ""; {
		long, known := k.short[letters[0]]
		letters = letters[1:]
		o := option{long, "", from, from + 1, known}
		if known && slices.Contains(k.values, long) {
			o.value, letters = strings.TrimPrefix(letters, "="), ""
			if o.value == "" && *i < len(args) && !strings.HasSuffix(args[from], "=") {
				o.value, o.to = args[*i], *i+1
				*i++
			}
		}
		if known && o.value == "" && strings.HasPrefix(letters, "=") { // -t=false, as Go reads it
			o.value, letters = letters[1:], ""
		}
		if !known {
			o.name, letters = args[from][1:], ""
		}
		options = append(options, o)
	}
	return options
}

// last is the value of the last option called name.
func last(options []option, name string) (value string, ok bool) {
	for _, o := range options {
		if o.known && o.name == name {
			value, ok = o.value, true
		}
	}
	return value, ok
}

// all are the values of the options called name.
func all(options []option, name string) []string {
	var values []string
	for _, o := range options {
		if o.known && o.name == name {
			values = append(values, o.value)
		}
	}
	return values
}
