#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes the two root file systems that runc's suite downloads elsewhere, out of
# this machine's own files: one of a static busybox, and one of the few programs
# of a Debian that its tests run.
#
#   images.sh DIR    makes DIR/busybox.tar and DIR/debian.tar
set -euo pipefail
dir=$1
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# What the image has not, tests make (mask.bats: /proc and /sys).
busybox() {
	mkdir -p "$1"/{bin,dev,etc,home,root,tmp,usr/sbin,var}
	chmod 1777 "$1/tmp"
	cp /bin/busybox "$1/bin/"
	local applet
	for applet in $(/bin/busybox --list); do
		[[ $applet == busybox ]] || ln "$1/bin/busybox" "$1/bin/$applet"
	done
	printf '%s\n' root:x:0:0:root:/root:/bin/sh daemon:x:1:1:daemon:/usr/sbin:/bin/false nobody:x:65534:65534:nobody:/:/bin/false >"$1/etc/passwd"
	printf '%s\n' root:x:0: daemon:x:1: users:x:100: >"$1/etc/group"
}

# bin and lib are links, as everywhere; a file goes to the place it has here.
debian() {
	local directory program
	mkdir -p "$1"/{dev,etc,mnt,proc,root,run,sys,tmp,var,usr/{bin,lib,lib64,sbin}}
	chmod 1777 "$1/tmp"
	for directory in bin lib lib64 sbin; do
		ln -s "usr/$directory" "$1/$directory"
	done
	cp /etc/passwd /etc/group "$1/etc/"
	for program in bash cat chrt echo env grep head id ionice ldconfig ls mkdir mount sh sleep stat touch true umount; do
		program=$(type -P "$program")
		echo "$program"
		ldd "$program" | grep -o '/[^ ]*' || true # a static one has no libraries
	done | sort -u | while read -r file; do
		mkdir -p "$1${file%/*}"
		cp -L "$file" "$1$file"
	done
}

for image in busybox debian; do
	"$image" "$dir/$image"
	tar -C "$dir/$image" -cf "$dir/$image.tar" .
done
