// SPDX-License-Identifier: Apache-2.0

// Package vault is the [resolver.Source] for HashiCorp Vault and for servers
// that speak its API, such as OpenBao: key-value secrets, version 1 and 2.
//
// Whether a mount is KV v1 or v2 is asked of the server, as `vault kv` does,
// and never guessed from a path. A [Source] logs in once, asks once, and then
// reads as many secrets as a container names, in parallel over one connection.
//
// # What it guards against
//
// A hook inherits whatever environment its caller has, and annotations are
// written by whoever starts a container. Neither decides anything here: where
// the server is, how it is trusted, who logs in and below which mount and
// prefix names are looked up come from [Config] alone. VAULT_* and proxy
// variables have no effect (but see [FromEnvironment]), redirects lead to a
// server of the settings or nowhere, answers are capped.
//
// Outage never looks like absence: only an answer that is Vault's own "not
// found" is a miss. No error holds a token, a value, or the body of an answer
// that is not Vault's.
//
// # Several servers
//
// A request goes to the server that answered last. One that is not there, is
// sealed, knows no active server or fails otherwise leaves it to the next one;
// with all of them it is tried again, ever more slowly, until the context ends.
// A server that asks for patience gets it, or the request is given up where
// there is no time for that.
//
// # What it does not
//
// The token can read all that its policies allow; one that is limited to the
// prefix is the operator's work. Values and token stay in the memory of the
// process until it ends. The roots of trust are the system's unless Config
// names a CA file.
package vault

import (
	"context"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/oci-secrets/oci-secrets/resolver"
	"github.com/oci-secrets/oci-secrets/spec"
	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// defaultDeadline serves a caller whose context has no deadline: a container
// start must not wait for ever.
const defaultDeadline = 10 * time.Second

// Config says where the server is, how to trust it, how to log in, and where
// on it the secrets are.
type Config struct {
	Addresses        []string // of one cluster: https URLs without user or query; http for loopback addresses; unix:///path
	InsecureLoopback bool     // an http address is meant
	SocketOwner      string   // who, besides root, may listen at a unix:// address: a user's name or number
	TLSServerName    string   // the name that certificates must have; empty for that of the address
	Proxy            string   // http://host:port, for https addresses that are not of this machine
	Mount            string   // of the KV engine; empty for "secret"
	Prefix           string   // below the mount; names are looked up here and nowhere else; may have placeholders
	CACert           string   // PEM file with the only roots to trust; empty for the system's
	Namespace        string   // Vault Enterprise and OpenBao; empty for none
	Dynamic          []string // paths, with their mounts, below which names lead to answers that may be leased
	StateDir         string   // where the host's containers share a login; empty for no sharing
	Session          string   // the token that [Source.Session] named, and no login ever; empty for a login
	Fresh            bool     // ask also what was refused a moment ago: somebody waits for what is so now
	Trial            bool     // there is no container: what is leased is given back at once
	Outage           Outage
	Auth             Auth

	variables, notes []string // see FromEnvironment
}

// Auth says how to log in.
type Auth struct {
	Method              string         // one of the keys of methods
	Mount               string         // of the auth method; empty for the method's name
	Role                string         // jwt, kubernetes, and cert where the certificate alone does not say
	Token               resolver.Value // token: the token itself
	TokenFile           string         // token_file: a private file that holds it
	TokenFileOwner      string         // who, besides root, it may belong to: a user's name or number
	RoleID              string         // approle: this, or RoleIDFile
	RoleIDFile          string
	SecretIDFile        string // approle: a private file; empty for a role without secret id
	WrappedSecretIDFile string // approle: a private file with a token that wraps the secret id
	JWTFile             string // jwt, kubernetes: a private file
	AsWorkload          bool   // jwt, kubernetes: the container's own token instead
	WorkloadToken       string // where the container has it
	WorkloadIssuer      string // who must have issued it; empty for whomever the role trusts
	Kubelet             string // the kubelet's directory on this host
	ClientCert          string // cert: PEM files
	ClientKey           string
}

// Source reads secrets from one cluster, as one client. It serves one container
// start: the login and what was learnt of the mount are kept for its lifetime.
type Source struct {
	config    Config
	container resolver.Container
	servers   servers
	session   session
	facts     facts
	reads     memo[place, *resolver.Secret] // a container may name one in several ways, and gets one answer
	dynamic   dynamic
	outage    *outage // nil for none
}

// New checks the settings and does nothing else: files are read and the server
// is asked when the first secret is. But where the token of a session is good,
// is looked up. The secrets are for c.
func New(config Config, c resolver.Container) (*Source, error) {
	if isSession(config.Session) {
		config = config.atHome()
	}
	addresses, err := checkAddresses(config.Addresses)
	if err != nil {
		return nil, err
	}
	if err := config.checkWay(addresses); err != nil {
		return nil, err
	}
	config.Mount = strings.Trim(config.Mount, "/")
	if config.Mount == "" {
		config.Mount = "secret"
	}
	config.Dynamic = slices.Clone(config.Dynamic)
	config.Prefix = strings.Trim(config.Prefix, "/")
	config.Auth.Mount = strings.Trim(config.Auth.Mount, "/")
	if config.Session != "" {
		if !isSession(config.Session) {
			return nil, settings("vault: not the name of a kept login")
		}
	} else if err := config.Auth.check(); err != nil {
		return nil, err
	}
	if config.Auth.Mount == "" {
		config.Auth.Mount = config.Auth.Method
	}
	if config.Auth.WrappedSecretIDFile != "" && config.StateDir == "" {
		return nil, fault.New(fault.Settings, "set state_dir to a directory on a tmpfs", "vault: wrapped_secret_id_file needs a state directory, to keep what is unwrapped once")
	}
	if err := config.checkPrefix(); err != nil {
		return nil, err
	}
	for _, p := range []struct{ what, path string }{
		{"mount", config.Mount}, {"auth mount", config.Auth.Mount},
	} {
		if p.path != "" && !plain(p.path) {
			return nil, settings("vault: %s %q: parts are letters, digits, '.', '_' and '-', joined by '/'", p.what, p.path)
		}
	}
	for i, p := range config.Dynamic {
		config.Dynamic[i] = strings.Trim(p, "/")
		if err := config.checkDynamic(config.Dynamic[i]); err != nil {
			return nil, err
		}
	}
	if strings.ContainsFunc(config.Namespace, isControl) {
		return nil, settings("vault: the namespace has a control character")
	}
	outage, err := newOutage(config)
	if err != nil {
		return nil, err
	}
	return &Source{config: config, container: c, servers: newServers(addresses), outage: outage}, nil
}

// Name is "vault".
func (*Source) Name() string { return "vault" }

// Get reads one secret. Its version is that of KV v2; a version other than 0
// is a miss on KV v1. The deadline of ctx bounds all of it, with retries.
func (s *Source) Get(ctx context.Context, name string, version int) (*resolver.Secret, error) {
	if name == "" {
		return nil, s.fault(fault.Missing, "", "a secret here needs a name")
	}
	// The annotation's grammar forbids most of these; this is the last line before
	// a path on the server.
	if !isName(name) || version < 0 {
		return nil, s.fault(fault.Annotation, "Vault is asked for no name with ? or #, or with another form of what leads up", "%q, version %d: not the name of a secret", clean(name), version)
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, defaultDeadline)
		defer cancel()
	}
	if s.isDynamic(name) {
		return s.getDynamic(ctx, name, version)
	}
	prefix, err := s.prefix()
	if err != nil {
		return nil, err
	}
	at := path.Join(prefix, name)
	return s.orKept(ctx, at, version, func(ctx context.Context) (*resolver.Secret, error) { return s.lookUp(ctx, at, version) })
}

// alphanumeric is what names may have besides punctuation.
const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// isName reports whether name is one that can be asked for, and stays one in its
// usual form: a proxy that takes the wide form of a dot or a slash (NFKC of Unicode)
// for the character itself would be led out of the prefix, and one that decodes once
// too often would read a query behind a question mark.
func isName(name string) bool {
	usual := norm.NFKC.String(name)
	return spec.IsName(name) && spec.IsName(usual) && strings.Count(usual, "/") == strings.Count(name, "/") && !strings.ContainsAny(usual, "?#")
}

// plain reports whether p, of the settings, can be a part of a path without leaving
// it: nothing that a URL, a proxy or the server would read as more than a name.
func plain(p string) bool {
	for part := range strings.SplitSeq(p, "/") {
		if !only(part, alphanumeric+"._-") || part == "." || part == ".." {
			return false
		}
	}
	return true
}

// only reports whether s is not empty and has no other characters than these.
func only(s, characters string) bool { return s != "" && strings.Trim(s, characters) == "" }

func settings(format string, args ...any) error {
	return fault.New(fault.Settings, "", format, args...)
}
