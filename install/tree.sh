#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Puts what `make` built where it is used, or takes it out again:
#
#   [DESTDIR=D] [PREFIX=/usr/local] [ZSHDIR=DIRECTORY] tree.sh install|uninstall
#
# Each file is complete before it gets its name, the binary too: podman starts a
# container without its secrets in a moment in which its hook is missing.
# uninstall removes these files and the one directory that is ours alone. What an
# operator has in /etc/oci-secrets is nobody else's.
#
# Nothing outside of $DESTDIR is touched, whatever links are in it; those are the
# target machine's. Who could put one there meanwhile must be trusted.
set -eu
umask 022
cd "$(dirname "$0")/.."

prefix=${PREFIX:-/usr/local}
top=${DESTDIR-}$prefix
zsh=${ZSHDIR:-share/zsh/site-functions}
units=lib/systemd/system
doc=share/doc/oci-secrets

# files calls $1 with the mode, the source and the place of each.
files() {
	"$1" 0755 bin/oci-secrets bin/oci-secrets
	for page in docs/man/*.md; do
		page=$(basename "$page" .md)
		"$1" 0644 "bin/man/$page" "share/man/man${page##*.}/$page"
	done
	"$1" 0644 bin/completion/bash share/bash-completion/completions/oci-secrets
	"$1" 0644 bin/completion/zsh "$zsh/_oci-secrets"
	"$1" 0644 bin/completion/fish share/fish/vendor_completions.d/oci-secrets.fish
	"$1" 0644 install/systemd/oci-secrets-nri.service "$units/oci-secrets-nri.service"
	"$1" 0644 install/systemd/oci-secrets-guard.service "$units/oci-secrets-guard.service"
	"$1" 0644 install/systemd/oci-secrets-leases.service "$units/oci-secrets-leases.service"
	"$1" 0644 install/example/config.toml "$doc/examples/config.toml"
	for text in README.md SECURITY.md CHANGELOG.md LICENSE bin/NOTICE; do
		"$1" 0644 "$text" "$doc/${text##*/}"
	done
}

die() { # WHAT HINT
	printf '%s: %s\nhint: %s\n' "$0" "$1" "$2" >&2
	exit 1
}

# inside refuses a path whose directory is not below $DESTDIR, or is on a way that
# others than root and this user can change.
checked=
inside() {
	[ -n "${DESTDIR-}" ] || return 0
	tree=$(realpath -m -- "$DESTDIR")
	above=${1%/*}
	case $checked in *"|$above|"*) return 0 ;; esac
	checked="$checked|$above|"
	dir=$(realpath -m -- "$top/$above")
	case $dir/ in
	"${tree%/}"/*) ;;
	*) die "$top/$1 leads out of $DESTDIR, to $dir" "take the links on the way out of it" ;;
	esac
	while :; do
		if [ -e "$dir" ]; then
			owner=$(stat -c %u "$dir")
			if [ "$owner" != 0 ] && [ "$owner" != "$(id -u)" ]; then
				die "$dir belongs to uid $owner, who could put links there" "use a DESTDIR of your own"
			fi
			[ -z "$(find "$dir" -maxdepth 0 -perm -o+w ! -perm -1000)" ] ||
				die "all can put links into $dir" "chmod o-w $dir"
		fi
		[ "$dir" != "$tree" ] || break
		dir=$(dirname "$dir")
	done
}

check() { inside "$3"; }

put() {
	install -D -m "$1" "$2" "$top/$3.new"
	case $3 in
	"$units"/*) sed -i "s|/usr/bin/|$prefix/bin/|" "$top/$3.new" ;;
	esac
	mv -fT "$top/$3.new" "$top/$3"
}

take() { rm -f "$top/$3"; }

case ${1-} in
install)
	files check
	files put
	ln -sf oci-secrets "$top/bin/oci-secrets-runtime.new"
	mv -fT "$top/bin/oci-secrets-runtime.new" "$top/bin/oci-secrets-runtime"
	;;
uninstall)
	files check
	DPKG_ROOT=${DESTDIR-} PREFIX=$prefix sh install/package/preremove.sh remove
	rm -f "$top/bin/oci-secrets-runtime"
	files take
	for dir in "$doc/examples" "$doc"; do
		[ ! -d "$top/$dir" ] || rmdir --ignore-fail-on-non-empty "$top/$dir"
	done
	;;
*)
	echo "usage: $0 install|uninstall" >&2
	exit 2
	;;
esac
