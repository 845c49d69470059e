#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs one container with secrets from a dict, a .env file and a real Vault
# through a prestart hook of a real runc, and shows who has the values and who
# has not. `test/demo.sh no` leaves Vault out. Run it as root: make demo.
#
# shellcheck disable=SC2317,SC2329 # functions are called by check and by trap
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

with_vault=${1:-yes}
oci_secrets=$PWD/bin/oci-secrets
((EUID == 0)) || { echo "the demo starts a container: run it as root" >&2; exit 1; }
runc=$(test/setup/runc.sh)
[[ $with_vault == no ]] || vault=$(test/setup/vault.sh)

work=$(mktemp -d)
vault_pid=
cleanup() {
	"$runc" --root "$work/state" delete --force demo 2>/dev/null || true
	[[ -z $vault_pid ]] || { kill "$vault_pid" && wait "$vault_pid"; } 2>/dev/null || true
	umount "$work/host" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
show() {
	printf '$ %s\n' "${*//$work/.}"
	"$@"
}

# Values that are found nowhere else, so that they can be searched for.
value() { echo "$1-$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')"; }
password=$(value password) api_key=$(value api-key) session=$(value session)

say "The operator's side: three places where secrets live, and the settings"
mkdir -p "$work/settings/env" "$work/bundle/rootfs/proc" "$work/bundle/rootfs/dev"
umask 077
cat >"$work/settings/secrets.toml" <<EOF
[db]
DB_USER = "app"
DB_PASSWORD = "$password"
EOF
echo "SESSION_KEY=$session" >"$work/settings/env/web.env"
cat >"$work/settings/config.toml" <<EOF
state_dir = "$work/host"
[dict]
path = "secrets.toml"
[dotenv]
directory = "env"
EOF
if [[ $with_vault == no ]]; then
	printf '[stripe]\nAPI_KEY = "%s"\nACCOUNT = "acct_1"\n' "$api_key" >>"$work/settings/secrets.toml"
else
	port=$((20000 + RANDOM % 10000)) # below the ports that the kernel hands out
	VAULT_DEV_ROOT_TOKEN_ID=demo HOME=$work "$vault" server -dev -dev-no-store-token \
		-dev-listen-address="127.0.0.1:$port" >"$work/vault.log" 2>&1 &
	vault_pid=$!
	export VAULT_ADDR=http://127.0.0.1:$port VAULT_TOKEN=demo
	until "$vault" status >/dev/null 2>&1; do
		kill -0 "$vault_pid" || { cat "$work/vault.log" >&2; exit 1; }
		sleep 0.1
	done
	"$vault" kv put -mount=secret containers/stripe "API_KEY=$api_key" ACCOUNT=acct_1 >/dev/null
	echo demo >"$work/settings/token"
	cat >>"$work/settings/config.toml" <<EOF
[vault]
address = "$VAULT_ADDR"
insecure_loopback = true
mount = "secret"
prefix = "containers"
[vault.auth]
method = "token_file"
token_file = "token"
EOF
	unset VAULT_ADDR VAULT_TOKEN
fi
umask 022
cat "$work/settings/config.toml"

say "The user's side: a bundle that names its secrets, and nothing else"
CGO_ENABLED=0 go build -trimpath -o "$work/bundle/rootfs/payload" ./test/payload
hooks=$("$oci_secrets" hook-config --config "$work/settings/config.toml" runc)
# The members that differ from what \`runc spec\` writes; tests need no editor.
cat >"$work/bundle/config.json" <<EOF
{
  "ociVersion": "1.0.2",
  "annotations": { "secrets.oci/from": "db+stripe#API_KEY+dotenv:web" },
  $(sed '1d;$d' <<<"$hooks"),
  "process": { "user": {}, "cwd": "/", "noNewPrivileges": true,
    "args": [ "/payload", "wait", "/out/report" ],
    "env": [ "PATH=/bin", "SESSION_KEY=replace-me" ],
    "rlimits": [ { "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 } ] },
  "root": { "path": "rootfs", "readonly": true },
  "mounts": [ { "destination": "/proc", "type": "proc", "source": "proc" },
    { "destination": "/dev", "type": "tmpfs", "source": "tmpfs" },
    { "destination": "/out", "type": "bind", "source": "$work/out", "options": [ "bind", "rw" ] } ],
  "linux": { "namespaces": [ { "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" }, { "type": "network" } ] }
}
EOF
mkdir -p "$work/bundle/rootfs/out" "$work/out"
grep -A1 '"annotations"' "$work/bundle/config.json" | head -1
before=$(sha256sum <"$work/bundle/config.json")

say "What the container would get"
show "$oci_secrets" explain --config "$work/settings/config.toml" --bundle "$work/bundle"

say "Run it"
echo "$ runc run --detach --bundle ./bundle demo"
"$runc" --root "$work/state" run --detach --bundle "$work/bundle" demo </dev/null >"$work/output" 2>&1 || {
	cat "$work/output" >&2
	exit 1
}
until [[ -s $work/out/report ]]; do
	[[ $("$runc" --root "$work/state" state demo | grep '"status"') == *running* ]] || { cat "$work/output" >&2; exit 1; }
	sleep 0.05
done
pid=$("$runc" --root "$work/state" state demo | sed -n 's/^ *"pid": \([0-9]*\),/\1/p')

failed=0
check() { # TEXT COMMAND...
	if "${@:2}"; then echo "  yes  $1"; else
		echo "  NO   $1"
		failed=1
	fi
}
has() { grep -qF -- "\"$1=$2\"" "$work/out/report"; }
lacks_variable() { ! grep -qF -- "\"$1=" "$work/out/report"; }
lacks() { ! grep -rqF -e "$password" -e "$api_key" -e "$session" -- "$@"; }
unchanged() { [[ $(sha256sum <"$work/bundle/config.json") == "$before" ]]; }

check "PID 1 has DB_USER" has DB_USER app
check "PID 1 has DB_PASSWORD" has DB_PASSWORD "$password"
check "PID 1 has API_KEY" has API_KEY "$api_key"
check "PID 1 does not have the secret's other key, for which it did not ask" lacks_variable ACCOUNT
check "PID 1 has SESSION_KEY in the place of the one in config.json" has SESSION_KEY "$session"
check "config.json is unchanged and holds no value" unchanged
check "the bundle holds no value" lacks "$work/bundle"
check "runc's state holds no value" lacks "$work/state"
check "/proc/$pid/environ holds no value" lacks "/proc/$pid/environ"

say "Ask for a secret that is not there"
"$runc" --root "$work/state" delete --force demo
sed -i 's/dotenv:web/dotenv:web nowhere/' "$work/bundle/config.json"
rm "$work/out/report"
code=0
"$runc" --root "$work/state" run --bundle "$work/bundle" demo </dev/null >"$work/output" 2>&1 || code=$?
sed "s|$work|.|g; s|\\\\n|\\n|g" "$work/output"
check "runc refuses the container (exit code $code)" test "$code" -ne 0
check "its program never ran" test ! -e "$work/out/report"
exit "$failed"
