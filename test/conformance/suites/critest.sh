#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# critest, Kubernetes' tests of container runtimes, with containerd. All images that
# they have are of one busybox.
#
#   critest.sh prepare       makes them in the working directory
#   critest.sh run [TEST]    runs them, or one test
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=test/conformance/results.bash
. "$here/../results.bash"

# image COMMAND NAME... prints images of the layer, as `docker save` writes them. The
# words of the command have commas between them.
image() {
	local layer
	layer=$(sha256sum image/layer.tar | cut -d ' ' -f 1)
	jq -n --arg command "$1" --arg arch "$(go env GOARCH)" --arg layer "sha256:$layer" \
		'{architecture: $arch, os: "linux", config: {Env: ["PATH=/bin:/usr/sbin"], Cmd: ($command | split(","))},
			rootfs: {type: "layers", diff_ids: [$layer]}}' >"image/${1%%,*}.json"
	jq -n --arg config "${1%%,*}.json" '{Config: $config, Layers: ["layer.tar"], RepoTags: $ARGS.positional}' --args "${@:2}"
}

prepare() {
	local e2e=registry.k8s.io/e2e-test-images staging=gcr.io/k8s-staging-cri-tools
	ln -s "$(dirname "$("$here/../../setup/containerd.sh")")" engine
	ln -s "$("$here/../../setup/critest.sh")" critest
	mkdir networks image
	"$here/images.sh" "$PWD"

	# What their images have besides.
	echo default-user:x:1000:1000::/:/bin/sh >>busybox/etc/passwd
	echo group-defined-in-image:x:50000:default-user >>busybox/etc/group
	mkdir busybox/run
	ln -s ../run busybox/var/run
	cat >busybox/bin/nginx <<-'END'
		#!/bin/sh
		trap exit TERM
		echo $$ >/run/nginx.pid
		echo httpd
		httpd -h /etc
		while :; do sleep 0.1; done
	END
	printf '#!/bin/sh\nexec pidof sleep\n' >busybox/bin/pgrep
	printf '#!/bin/sh\ncat /proc/sysvipc/shm\n' >busybox/bin/ipcs
	echo welcome >busybox/etc/index.html
	chmod 755 busybox/bin/{nginx,pgrep,ipcs}
	gcc -static -w -include stdio.h -include unistd.h -x c -o busybox/bin/nnp - <<<'int main() { printf("Effective uid: %d\n", geteuid()); }'
	chmod 4755 busybox/bin/nnp
	tar -C busybox -cf image/layer.tar .
	{
		image 'nginx,master process' "$e2e"/{busybox:1.29-2,nginx:1.14-2,httpd:2.4.39-4} "$staging/test-image-predefined-group:latest"
		image nnp "$e2e/nonewprivs:1.3"
	} | jq -s . >image/manifest.json
	tar -C image -cf image.tar .

	echo '{"cniVersion": "1.0.0", "name": "bridge", "plugins": [{"type": "bridge", "bridge": "cni0", "isGateway": true,
		"ipam": {"type": "host-local", "ranges": [[{"subnet": "10.88.0.0/16"}]]}}]}' >networks/bridge.conflist
}

run() {
	local ctr=(engine/ctr --address "$TMPDIR/socket" --namespace k8s.io)
	cat >"$TMPDIR/config.toml" <<-END
		version = 3
		root = "$TMPDIR/root"
		state = "$TMPDIR/state"
		[grpc]
		address = "$TMPDIR/socket"
		[plugins."io.containerd.internal.v1.opt"]
		path = "$TMPDIR/opt"
		[plugins."io.containerd.cri.v1.images".pinned_images]
		sandbox = "registry.k8s.io/e2e-test-images/busybox:1.29-2"
		[plugins."io.containerd.cri.v1.runtime"]
		restrict_oom_score_adj = true
		disable_apparmor = true
		[plugins."io.containerd.cri.v1.runtime".cni]
		bin_dirs = ["/usr/lib/cni"]
		conf_dir = "$PWD/networks"
		use_internal_loopback = true
		[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
		runtime_type = "io.containerd.runc.v2"
		[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
		BinaryName = "$RUNTIME"
	END
	PATH=$PWD/engine:$PATH containerd --config "$TMPDIR/config.toml" >"$TMPDIR/containerd.log" 2>&1 &
	until [[ -S $TMPDIR/socket ]] && "${ctr[@]}" images import image.tar >/dev/null; do sleep 0.1; done

	# Most of the time they wait, so two run at once. The rest tests what is the
	# engine's own, says little of a shim, or takes long.
	if (($#)); then
		critest "$(literal "$1")\$"
	elif [[ $PART == all ]]; then
		critest .
	else
		critest 'Container runtime should support (basic|adding)|Multiple Containers.*exec|bucket runtime should support (Privileged|RunAs|that)' &
		critest 'NamespaceOption|UserNamespaces|NoNewPrivs' &
		wait %2 %3
	fi
	cat "$TMPDIR"/*.report | jq -rs '[.[][].SpecReports[] | select(.LeafNodeType == "It" and (.State != "skipped" or .Failure.Message))] | to_entries[] |
		"\(if .value.State | IN("passed", "skipped", "pending") then "ok" else "not ok" end) \(.key + 1) \(
		.value.ContainerHierarchyTexts + [.value.LeafNodeText] | join(" "))\(
		if .value.State | IN("skipped", "pending") then " # skip" else "" end)"'
}

# critest FOCUS runs the tests whose names match.
critest() {
	./critest --runtime-endpoint "unix://$TMPDIR/socket" --ginkgo.focus "$1" --ginkgo.seed 1 --ginkgo.no-color \
		--ginkgo.json-report "$(mktemp "$TMPDIR/XXXXXX.report")" || true
}

"$@"
