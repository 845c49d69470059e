#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Unpacks Debian's rpm into a directory and prints its path; with --path it prints
# where it is or would be. It is not installed on the host: podman asks an rpm that
# is there, and that makes itself a database.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. test/setup/cached.bash
. test/setup/unpacked.bash

unpacked rpm rpm rpm-common librpm9 librpmio9 librpmbuild9 librpmsign9 liblua5.3-0 libpopt0 libarchive13 libfsverity0 -- "$@"
