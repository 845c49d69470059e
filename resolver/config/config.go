// SPDX-License-Identifier: Apache-2.0

// Package config reads the operator's settings.
//
// A hook may be started with an empty environment, so the file is what counts.
// Whoever can write it decides where secrets come from: a file that group or
// others can write, or that is in a directory they can write, is refused, and
// one that holds a token must also be unreadable for others. A key that is not
// known is refused, because a typo in a setting would otherwise be a setting
// that silently does not hold.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/resolver/config/runtimeline"
	"github.com/oci-secrets/oci-secrets/resolver/dict"
	"github.com/oci-secrets/oci-secrets/resolver/dotenv"
	"github.com/oci-secrets/oci-secrets/resolver/private"
	"github.com/oci-secrets/oci-secrets/resolver/throwaway"
	"github.com/oci-secrets/oci-secrets/spec"
	"github.com/oci-secrets/oci-secrets/spec/fault"
	"github.com/oci-secrets/oci-secrets/spec/limit"
)

// DefaultDeadline is for everything that one start does: reading the settings,
// login, reads, retries and delivery. At most it is [limit.Deadline].
const DefaultDeadline = 10 * time.Second

// Settings are what the operator decides. The names of the fields are the
// keys of the file.
type Settings struct {
	Chain        []string `toml:"chain"`          // where plain names are looked up, in order
	Deadline     Duration `toml:"deadline"`       // total, for one container's start
	AllowNames   []string `toml:"allow_names"`    // reserved variables that secrets may set after all
	OnlyNames    []string `toml:"only_names"`     // the only variables that secrets may set; a * at the end stands for any ending
	AllowAnyName bool     `toml:"allow_any_name"` // also variables that are no shell names, of secrets that are taken whole
	AllowShared  []string `toml:"allow_shared"`   // sources that all tenants may read, beside a prefix that is each one's own
	StateDir     string   `toml:"state_dir"`      // where what a container got is kept in memory; see package memory
	Log          Log      `toml:"log"`
	Runtime      Runtime  `toml:"runtime"`
	Vault        *Vault   `toml:"vault"`
	Dict         *Dict    `toml:"dict"`
	Dotenv       *Dotenv  `toml:"dotenv"`

	// Warnings are lines on what works with this release and is refused by the
	// next one; each start that reads the settings notes them in its record.
	Warnings []string `toml:"-"`

	file string // "" where there is none
}

// Runtime is what the operator decides about the runtime shim.
type Runtime struct {
	Path     string            `toml:"path"`     // the real runtime; "" for the first one found on PATH
	Exec     string            `toml:"exec"`     // "on" or "off": whether exec sees the variables
	Delivery map[string]string `toml:"delivery"` // by name of a real runtime's program: "inflight" or "spec"
}

// Log says where deliveries are told, besides the system log.
type Log struct {
	File    string `toml:"file"`    // one JSON object a line
	Metrics string `toml:"metrics"` // counters for node-exporter's textfile collector
}

// Dict is a file or directory of named secrets.
type Dict struct {
	Path string `toml:"path"`
}

// Dotenv is a directory of .env files.
type Dotenv struct {
	Directory string `toml:"directory"`
	Lenient   bool   `toml:"lenient"` // skip lines that are not understood
}

// Duration is a [time.Duration] written as Go writes it: "10s", "1m30s".
type Duration struct{ time.Duration }

// UnmarshalText refuses what is not a positive duration.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v <= 0 {
		return errors.New("not a positive duration such as \"10s\"")
	}
	d.Duration = v
	return nil
}

// Load reads the settings from path, or, where path is empty, from the first
// of the usual places that has them; see [Find]. Without a file, dict and
// dotenv below the directory where it would be are configured.
func Load(path string) (*Settings, error) {
	path, named, err := Find(path)
	if err != nil {
		return nil, err
	}
	text, exposed, err := private.ReadEither(path)
	s := &Settings{Deadline: Duration{DefaultDeadline}}
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named:
		s.Dict, s.Dotenv = &Dict{}, &Dotenv{}
	case err != nil:
		return nil, asSettings(err)
	default:
		s.file = path
		if err := s.parse(text); err != nil {
			return nil, err
		}
		if runtimeline.Path(text) != s.Runtime.Path {
			return nil, s.errorf("write it as path = \"/usr/sbin/runc\" on a line of its own below [runtime]", "runtime.path is not where the shim looks for it")
		}
	}
	if s.hasToken() && exposed != nil {
		return nil, asSettings(exposed)
	}
	s.complete(filepath.Dir(path))
	return s, s.check()
}

// asSettings gives an error of reading the file the class of the settings.
func asSettings(err error) error {
	hint := ""
	if hints := fault.Hints(err); len(hints) > 0 {
		hint = hints[0]
	}
	return fault.New(fault.Settings, hint, "settings: %s", err.Error())
}

// parse reads the text of a file and refuses what it does not know.
func (s *Settings) parse(text []byte) error {
	meta, err := toml.Decode(string(text), s)
	if err != nil {
		return s.syntaxError(text, err)
	}
	var errs fault.List
	for _, key := range meta.Undecoded() {
		errs.Add(s.errorf(nearest(key), "unknown key %q", key.String()))
	}
	for _, err := range s.miscased(meta) {
		errs.Add(err)
	}
	return errs.Err()
}

// miscased refuses keys that are known in another case. The TOML package takes
// them, and of "address" and "Address" any one.
func (s *Settings) miscased(meta toml.MetaData) (errs []error) {
	known := keys(reflect.TypeFor[Settings](), "")
	known = append(tables(known), known...)
	for _, key := range meta.Keys() {
		if right := inCase(key, known); right != "" {
			errs = append(errs, s.errorf(fmt.Sprintf("did you mean %q?", right), "unknown key %q", key.String()))
		}
	}
	return errs
}

// syntaxError says where the text is wrong, and not what it says there: that
// may be a token.
func (s *Settings) syntaxError(text []byte, err error) error {
	var pe toml.ParseError
	if !errors.As(err, &pe) {
		return s.wrongType(text)
	}
	at := fmt.Sprintf("line %d", pe.Position.Line)
	if pe.LastKey != "" {
		at += fmt.Sprintf(", at %q", pe.LastKey)
	}
	why := "not valid TOML, or not the type that the key has"
	if strings.HasSuffix(pe.LastKey, "deadline") || strings.HasSuffix(pe.LastKey, "max_age") {
		why = `want a positive duration such as "10s" or "24h"`
	}
	return s.errorf("", "%s: %s", at, why)
}

func (s *Settings) errorf(hint, format string, args ...any) error {
	return fault.New(fault.Settings, hint, "settings %s: %s", s.file, fmt.Sprintf(format, args...))
}

// warn adds a warning on what still works.
func (s *Settings) warn(format string, args ...any) {
	s.Warnings = append(s.Warnings, fmt.Sprintf("settings %s: %s", s.file, fmt.Sprintf(format, args...)))
}

// Broken is an error of what is made from the settings, with their file.
func (s *Settings) Broken(err error) error { return fmt.Errorf("settings %s: %w", s.file, err) }

func (s *Settings) hasToken() bool { return s.Vault != nil && s.Vault.Auth.Token.Reveal() != "" }

// complete fills in what is not set, and makes paths absolute: a relative one
// is below the settings' directory, since a hook's own is the engine's choice.
func (s *Settings) complete(dir string) {
	if s.Dict != nil && s.Dict.Path == "" {
		s.Dict.Path = "secrets"
	}
	if s.Dotenv != nil && s.Dotenv.Directory == "" {
		s.Dotenv.Directory = "env"
	}
	if s.StateDir == "" {
		s.StateDir = stateDir()
	}
	if s.Runtime.Exec == "" {
		s.Runtime.Exec = "on"
	}
	absolute := func(p *string) {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	for _, p := range []*string{&s.StateDir, &s.Log.File, &s.Log.Metrics} {
		absolute(p)
	}
	if s.Dict != nil {
		absolute(&s.Dict.Path)
	}
	if s.Dotenv != nil {
		absolute(&s.Dotenv.Directory)
	}
	if s.Vault != nil {
		s.Vault.complete(absolute)
	}
	if s.Chain == nil {
		s.Chain = s.configured()
	}
}

// configured lists the sources that have a table, in the default order.
func (s *Settings) configured() []string {
	set := map[string]bool{"vault": s.Vault != nil, "dict": s.Dict != nil, "dotenv": s.Dotenv != nil}
	var names []string
	for _, name := range spec.Schemes() {
		if set[name] {
			names = append(names, name)
		}
	}
	return names
}

// check refuses settings that contradict each other, and warns of those that the
// next release refuses. What a source needs, the source checks itself.
func (s *Settings) check() error {
	var errs fault.List
	configured := s.configured()
	for i, name := range s.Chain {
		switch {
		case !slices.Contains(spec.Schemes(), name):
			errs.Add(s.errorf("the sources are "+strings.Join(spec.Schemes(), ", "), "chain names an unknown source %q", name))
		case !slices.Contains(configured, name):
			errs.Add(s.errorf("add a ["+name+"] table, or take it out of chain", "chain names %q, which is not configured", name))
		case slices.Contains(s.Chain[:i], name):
			errs.Add(s.errorf("", "chain names %q twice", name))
		}
	}
	if s.Deadline.Duration > limit.Deadline {
		errs.Add(s.errorf("engines do not wait longer for a container's start", "deadline is %v, more than %v", s.Deadline, limit.Deadline))
	}
	if e := s.Runtime.Exec; e != "on" && e != "off" {
		errs.Add(s.errorf("", "runtime.exec is %q, and must be on or off", e))
	}
	if p := s.Runtime.Path; p != "" && !filepath.IsAbs(p) {
		errs.Add(s.errorf("", "runtime.path is %q, and must be an absolute path", p))
	}
	for name, way := range s.Runtime.Delivery {
		if way != "inflight" && way != "spec" {
			errs.Add(s.errorf("", "runtime.delivery.%s is %q, and must be inflight or spec", name, way))
		}
	}
	if s.Vault != nil {
		for _, err := range s.Vault.check(s) {
			errs.Add(err)
		}
	}
	s.checkShared(&errs)
	for _, name := range s.AllowNames {
		if !spec.IsVariable(name) {
			errs.Add(s.errorf("list each variable by its whole name", "allow_names has %q, which is not a variable name", name))
		}
	}
	for _, name := range s.OnlyNames {
		if name == "" || strings.Contains(name[:len(name)-1], "*") {
			errs.Add(s.errorf("", "only_names has %q, and a * stands at the end of a name", name))
		}
	}
	return errs.Err()
}

// checkShared warns of sources that every pod may read, where the prefix looks as
// if each had secrets of its own: it is Vault's alone, and a name with a source's
// scheme goes around the chain.
func (s *Settings) checkShared(errs *fault.List) {
	shared := slices.DeleteFunc(s.configured(), func(name string) bool { return name == "vault" })
	for _, name := range s.AllowShared {
		if !slices.Contains(shared, name) {
			errs.Add(s.errorf("name dict or dotenv, where they have a table", "allow_shared names %q, which is no source that is shared here", name))
		}
	}
	if s.Vault == nil || !strings.Contains(s.Vault.Prefix, "{namespace}") && !strings.Contains(s.Vault.Prefix, "{service_account}") {
		return
	}
	for _, name := range shared {
		if !slices.Contains(s.AllowShared, name) {
			s.warn("every pod can read all of %s, whatever its namespace: prefix %q is Vault's alone; take [%s] away, or write allow_shared = [%q], without which the next release refuses it",
				name, s.Vault.Prefix, name, name)
		}
	}
}

// VaultOpener makes the source for Vault. It is a parameter because the client
// costs milliseconds and megabytes before it has done anything. Where the
// settings have no [vault] table no start pays that; where they have one, every
// start that asks for something does.
type VaultOpener func(*Settings, resolver.Container) (resolver.Source, error)

// Resolver makes the resolver that the settings describe, for one container. It
// does no I/O.
func (s *Settings) Resolver(openVault VaultOpener, c resolver.Container) (*resolver.Resolver, error) {
	r := &resolver.Resolver{
		Pinned: map[string]resolver.Source{}, Names: spec.Names{Allow: s.AllowNames, Only: s.OnlyNames, Any: s.AllowAnyName},
		Reserved: map[string]resolver.Source{throwaway.Prefix: throwaway.Source{StateDir: s.StateDir}},
	}
	if s.Vault != nil {
		source, err := openVault(s, c)
		if err != nil {
			return nil, err
		}
		r.Pinned["vault"] = source
	}
	if s.Dict != nil {
		r.Pinned["dict"] = dict.New(s.Dict.Path)
	}
	if s.Dotenv != nil {
		r.Pinned["dotenv"] = dotenv.New(s.Dotenv.Directory, s.Dotenv.Lenient)
	}
	for _, name := range s.Chain {
		r.Chain = append(r.Chain, r.Pinned[name])
	}
	return r, nil
}
