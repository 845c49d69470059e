// SPDX-License-Identifier: Apache-2.0

package rig

// Uninstalled is the part of a shell script that takes away, in the private copy
// of a root file system in which it is, what a host has of oci-secrets and tells
// engines. The host may be that of somebody who uses them.
const Uninstalled = `
(
	cd etc
	rm -rf oci-secrets docker containerd crio systemd/system
	cd containers && rm -rf containers.conf containers.conf.d oci systemd || :
)
rm -rf opt/nri var/lib/oci-secrets
`
