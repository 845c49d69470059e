#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Unpacks Docker 20.10 and its containerd, which are Debian 12's, into a directory
# and prints its path; with --path it prints where it is or would be. Nothing is
# installed on the host: a daemon of its own would start.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. test/setup/cached.bash
. test/setup/unpacked.bash

unpacked docker20 'docker.io=20.10.*' 'containerd=1.6.*' libdevmapper1.02.1 -- "$@"
