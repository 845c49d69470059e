// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"slices"
	"strings"
)

// reserved are the variables that change which code a process loads or runs,
// or whom it talks to. README.md documents the list; a * stands for any ending.
var reserved = [...]string{
	// the dynamic linker and the C library
	"LD_*", "GLIBC_TUNABLES", "GCONV_PATH", "GETCONF_DIR", "NLSPATH", "LOCPATH",
	"HOSTALIASES", "LOCALDOMAIN", "RES_OPTIONS", "RESOLV_HOST_CONF",
	// shells
	"PATH", "IFS", "ENV", "BASH_ENV", "SHELLOPTS", "BASHOPTS", "PS4", "PROMPT_COMMAND", "ZDOTDIR", "BASH_FUNC_*",
	// Python, Perl, Ruby, Node.js, PHP, Lua, Erlang, Tcl
	"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONUSERBASE", "PYTHONBREAKPOINT", "PYTHONWARNINGS",
	"PERL5OPT", "PERL5LIB", "PERLLIB", "PERL5DB",
	"RUBYOPT", "RUBYLIB",
	"NODE_OPTIONS", "NODE_PATH",
	"PHPRC", "PHP_INI_SCAN_DIR",
	"LUA_INIT*", "LUA_PATH*", "LUA_CPATH*",
	"ERL_FLAGS", "ERL_AFLAGS", "ERL_ZFLAGS", "ERL_LIBS",
	"TCLLIBPATH",
	// Java and .NET
	"JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH",
	"DOTNET_STARTUP_HOOKS", "DOTNET_ADDITIONAL_DEPS", "CORECLR_PROFILER*", "CORECLR_ENABLE_PROFILING",
	// libraries and tools that load or run what they are told to
	"OPENSSL_CONF", "OPENSSL_ENGINES", "OPENSSL_MODULES",
	"GIT_SSH", "GIT_SSH_COMMAND", "GIT_EXEC_PATH", "GIT_PROXY_COMMAND",
}

// onRequest are the variables that say whom a program trusts, or which proxy it
// asks, and those by which tools load or run what they are told to. People do set
// them, so who requests one by its name gets it; but the writer of a secret that a
// container takes whole does not decide over them. Names that mostly are those of
// credentials (GEM_HOST_API_KEY, CARGO_REGISTRY_TOKEN, DENO_AUTH_TOKENS) are in no
// pattern. A * stands for any beginning or ending, in any letter case.
var onRequest = [...]string{
	// proxies, and whose certificates count
	"*_PROXY", "SSL_CERT_*", "SSLKEYLOGFILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "HTTPS_CA_FILE", "HTTPS_CA_DIR",
	"NODE_EXTRA_CA_CERTS", "NODE_TLS_REJECT_UNAUTHORIZED", "DENO_CERT", "DENO_TLS_CA_STORE", "GIT_SSL_*", "PERL_LWP_SSL_*", "PYTHONHTTPSVERIFY",
	// package managers, which fetch code
	"NPM_CONFIG_*", "YARN_*", "PIP_*", "UV_CONFIG_FILE", "UV_INDEX*", "UV_DEFAULT_INDEX", "BUNDLE_GEMFILE", "BUNDLE_PATH", "BUNDLE_APP_CONFIG", "BUNDLE_MIRROR*", "BUNDLE_SSL_*",
	"GEM_HOME", "GEM_PATH", "GEMRC", "RUBYGEMS_GEMDEPS",
	"GOFLAGS", "GOENV", "GOROOT", "GOTOOLCHAIN", "GOPROXY", "GOSUMDB", "GONOSUMDB", "GOINSECURE", "CARGO_HOME", "CARGO_BUILD_*", "CARGO_TARGET_*",
	"RUSTC", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS", "COMPOSER_HOME",
	// language runtimes, and what starts programs in them
	"*JAVA_OPTS", "*JAVA_OPTIONS", "JAVA_HOME", "CATALINA_OPTS", "MAVEN_OPTS", "MAVEN_ARGS", "GRADLE_OPTS", "SBT_OPTS", "ANT_OPTS", "ANT_ARGS",
	"PYTHONPYCACHEPREFIX", "PYTHONPLATLIBDIR", "GUNICORN_CMD_ARGS", "UWSGI_*", "NODE_REPL_EXTERNAL_MODULE", "NODE_CONFIG_DIR", "BUN_OPTIONS",
	"DOTNET_ROOT*", "DOTNET_GCName", "DOTNET_GCPath", "DOTNET_SHARED_STORE", "ASPNETCORE_HOSTINGSTARTUPASSEMBLIES", "PSModulePath",
	"R_PROFILE*", "R_ENVIRON*", "R_HOME", "R_LIBS*", "JULIA_LOAD_PATH", "JULIA_DEPOT_PATH", "JULIA_PROJECT",
	"ELIXIR_ERL_OPTIONS", "ERL_INETRC", "TCL_LIBRARY", "GUILE_LOAD_*", "CAML_LD_LIBRARY_PATH", "AWKPATH", "AWKLIBPATH",
	// libraries with plug-ins
	"GIO_MODULE_DIR", "GIO_EXTRA_MODULES", "GTK_MODULES", "GTK_PATH", "GDK_PIXBUF_MODULE*", "GST_PLUGIN_*", "QT_PLUGIN_PATH", "QML2_IMPORT_PATH",
	"MAGICK_CONFIGURE_PATH", "MAGICK_CODER_MODULE_PATH", "SASL_PATH", "KRB5_CONFIG", "ODBCINI", "ODBCSYSINI", "LIBMYSQL_PLUGIN*", "OCL_ICD_*",
	// tools that run what they are told to
	"GIT_CONFIG*", "GIT_ASKPASS", "GIT_EDITOR", "GIT_SEQUENCE_EDITOR", "GIT_PAGER", "GIT_EXTERNAL_DIFF", "GIT_TEMPLATE_DIR", "SSH_ASKPASS",
	"EDITOR", "VISUAL", "PAGER", "BROWSER", "LESSOPEN", "LESSCLOSE", "RSYNC_RSH", "SVN_SSH", "TAR_OPTIONS", "MAKEFLAGS", "MAKEFILES",
	"WGETRC", "CURL_HOME", "PSQLRC", "VIMINIT", "EXINIT", "RIPGREP_CONFIG_PATH",
	// where shells and most programs look for their own settings
	"HOME", "SHELL", "FPATH", "XDG_CONFIG_*", "XDG_DATA_*",
}

// listed reports whether list has name, where a * at the end of an element stands
// for any ending, also none.
func listed(list []string, name string) bool {
	return slices.ContainsFunc(list, func(r string) bool {
		prefix, wild := strings.CutSuffix(r, "*")
		return name == r || wild && strings.HasPrefix(name, prefix)
	})
}

// isOnRequest reports whether onRequest has name.
func isOnRequest(name string) bool {
	upper := strings.ToUpper(name)
	return slices.ContainsFunc(onRequest[:], func(r string) bool {
		suffix, begins := strings.CutPrefix(r, "*")
		prefix, ends := strings.CutSuffix(r, "*")
		return begins && strings.HasSuffix(upper, suffix) || ends && strings.HasPrefix(upper, prefix) || name == r
	})
}
