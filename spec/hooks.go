// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oci-secrets/oci-secrets/spec/jsontext"
	"github.com/oci-secrets/oci-secrets/spec/limit"
)

// KeepFlag tells the hook that `exec` in the container goes through the runtime
// shim, which will want to know what the first process got, and the state
// directory where it is to be kept.
const KeepFlag = "--keep"

// The stages under which the hook is listed (runtime-spec, config.md,
// "POSIX-platform Hooks"). Prestart is deprecated there, and the only early
// stage that every runtime knows: one that does not know a stage starts the
// container without the hook.
const (
	Prestart = "prestart"
	Poststop = "poststop"
)

// HookTimeout is the timeout of a listed hook, in seconds. The hook ends by itself
// before that; it is for one that cannot. runc and crun then kill the hook, and none
// of its children.
const HookTimeout = int(limit.Hook / time.Second)

// HookArgs is the command line of the hook; config, which may be empty, names
// its settings, and keep the directory of the [KeepFlag].
func HookArgs(config, keep string) []string {
	args := []string{"oci-secrets", "hook"}
	if keep != "" {
		args = append(args, KeepFlag, keep)
	}
	if config != "" {
		args = append(args, "--config", config)
	}
	return args
}

// IsHook reports whether a command is the hook: the program at own, by that or any
// other name. A program that cannot be seen from here goes by the name that is
// usual: the plugin and the guard of package nri may run in a container, and a
// runtime refuses what is nowhere. Where own is empty the name alone counts.
func IsHook(program string, args []string, own string) bool {
	if len(args) < 2 || args[1] != "hook" {
		return false
	}
	name := path.Base(program)
	if own == "" {
		return strings.HasPrefix(name, "oci-secrets")
	}
	if program == own {
		return true
	}
	info, err := os.Stat(program)
	if err != nil {
		return name == "oci-secrets"
	}
	for _, p := range []string{own, "/proc/self/exe"} {
		if self, err := os.Stat(p); err == nil && os.SameFile(info, self) {
			return true
		}
	}
	return false
}

// WithHook gives the document with the hook, program run with args, under the
// stages. A hook of ours that is there already, whoever listed it, stays as and
// where it is, but for the [KeepFlag] where args have it; createRuntime is as
// good as prestart. All other hooks stay, and run before ours; but at poststop
// after it, because runtimes stop at a hook that fails, and what is kept and leased
// for the container must go.
func (d *Doc) WithHook(program string, args []string, under ...string) ([]byte, error) {
	ours, stages, err := d.hooks(program)
	if err != nil {
		return nil, err
	}
	some := stages != jsontext.Span{} && len(jsontext.Members(d.b, stages)) > 0
	literals := make([]string, len(args))
	for i, a := range args {
		literals[i] = quote(a)
	}
	hook := `{"path":` + quote(program) + `,"args":[` + strings.Join(literals, ",") + `],"timeout":` + strconv.Itoa(HookTimeout) + "}"

	var changes []change
	listed := map[string]bool{}
	for _, h := range ours {
		listed[h.stage] = true
		if keep := slices.Index(args, KeepFlag); keep >= 0 && !slices.Contains(h.args, KeepFlag) {
			place, err := d.slot(h.place, "args", "args of our hook")
			if err != nil {
				return nil, err
			}
			changes = append(changes, place.appending(literals[keep], literals[keep+1]))
		}
	}
	listed[Prestart] = listed[Prestart] || listed["createRuntime"]
	var missing []string
	for _, stage := range under {
		if !listed[stage] {
			missing = append(missing, stage)
		}
	}
	if len(missing) > 0 && !some { // so all are missing
		for i, stage := range missing {
			missing[i] = quote(stage) + ":[" + hook + "]"
		}
		return d.apply([]change{d.hooksMember("{" + strings.Join(missing, ",") + "}")}), nil
	}
	for _, stage := range missing {
		place, err := d.slot(stages, stage, "hooks."+stage)
		if err != nil {
			return nil, err
		}
		if stage == Poststop {
			changes = append(changes, d.prepending(place, hook))
		} else {
			changes = append(changes, place.appending(hook))
		}
	}
	return d.apply(changes), nil
}

// WithAnnotation gives the document, which has annotations, with one more unless
// it has that one already.
func (d *Doc) WithAnnotation(key, value string) ([]byte, error) {
	annotations, err := d.Annotations()
	if err != nil {
		return nil, err
	}
	object, ok, err := d.find(d.root, "annotations")
	if _, there := annotations[key]; there || err != nil || !ok {
		return d.b, err
	}
	insert, lead := d.newMember(object.Value, key)
	return d.apply([]change{{jsontext.Span{Start: insert, End: insert}, lead + quote(value)}}), nil
}

// WithoutHook gives the document without the hooks of ours, which [IsHook] tells by
// own. An array that loses one also loses the white space between its elements.
func (d *Doc) WithoutHook(own string) ([]byte, error) {
	ours, stages, err := d.hooks(own)
	if err != nil || len(ours) == 0 {
		return d.b, err
	}
	is := map[jsontext.Span]bool{}
	for _, h := range ours {
		is[h.place] = true
	}
	var changes []change
	for _, stage := range jsontext.Members(d.b, stages) {
		if d.b[stage.Value.Start] != '[' {
			continue
		}
		var rest []string
		elements := jsontext.Elements(d.b, stage.Value)
		for _, e := range elements {
			if !is[e] {
				rest = append(rest, string(e.Of(d.b)))
			}
		}
		if len(rest) < len(elements) {
			at := jsontext.Span{Start: elements[0].Start, End: elements[len(elements)-1].End}
			changes = append(changes, change{at, strings.Join(rest, ",")})
		}
	}
	return d.apply(changes), nil
}

// listing is a hook of ours in the document.
type listing struct {
	stage string
	place jsontext.Span
	args  []string
}

// hooks gives the hooks of ours, and the place of the hooks object; the zero
// Span where there is none.
func (d *Doc) hooks(own string) (ours []listing, stages jsontext.Span, err error) {
	hooks, ok, err := d.find(d.root, "hooks")
	if err != nil || !ok || d.b[hooks.Value.Start] == 'n' {
		return nil, jsontext.Span{}, err
	}
	if d.b[hooks.Value.Start] != '{' {
		return nil, jsontext.Span{}, d.fault(hooks.Value, "hooks is not an object")
	}
	for _, m := range jsontext.Members(d.b, hooks.Value) {
		stage, _ := jsontext.Unquote(m.Key.Of(d.b))
		place, err := d.slot(hooks.Value, stage, "hooks."+stage)
		if err != nil {
			return nil, jsontext.Span{}, err
		}
		for _, e := range place.elements {
			if program, args := d.command(e); IsHook(program, args, own) {
				ours = append(ours, listing{stage, e, args})
			}
		}
	}
	return ours, hooks.Value, nil
}

// command reads the path and the args of a hook. One that is not as it must be
// is not ours.
func (d *Doc) command(hook jsontext.Span) (program string, args []string) {
	if d.b[hook.Start] != '{' {
		return "", nil
	}
	for _, m := range jsontext.Members(d.b, hook) {
		switch key, _ := jsontext.Unquote(m.Key.Of(d.b)); {
		case key == "path" && d.b[m.Value.Start] == '"':
			program, _ = jsontext.Unquote(m.Value.Of(d.b))
		case key == "args" && d.b[m.Value.Start] == '[':
			args = nil
			for _, e := range jsontext.Elements(d.b, m.Value) {
				if d.b[e.Start] != '"' {
					return "", nil
				}
				arg, _ := jsontext.Unquote(e.Of(d.b))
				args = append(args, arg)
			}
		}
	}
	return program, args
}

// hooksMember is the change that makes text the value of the document's hooks.
func (d *Doc) hooksMember(text string) change {
	for _, m := range d.root {
		if key, _ := jsontext.Unquote(m.Key.Of(d.b)); key == "hooks" {
			return change{m.Value, text}
		}
	}
	insert, lead := d.newMember(d.place, "hooks")
	return change{jsontext.Span{Start: insert, End: insert}, lead + text}
}
