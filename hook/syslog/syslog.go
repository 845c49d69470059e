// SPDX-License-Identifier: Apache-2.0

// Package syslog writes one line to the system log.
//
// The standard library's log/syslog brings the whole of package net with it,
// and this one is linked into the process that waits beside every created
// container; so it speaks to /dev/log with three system calls. Where no log
// daemon listens, the line goes to the kernel's log.
package syslog

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// priority is facility daemon (3), severity error (3): RFC 5424, 6.2.1.
const priority = "<27>"

// Error logs msg as one line under the tag oci-secrets. It never blocks, and a
// log that cannot be reached is not an error: the log is the second place a
// failure is told, never the only effect it has.
func Error(msg string) {
	msg = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, msg)
	line := []byte(priority + "oci-secrets[" + strconv.Itoa(os.Getpid()) + "]: " + msg)
	if send("/dev/log", line) != nil {
		// The kernel takes one record for one write and adds the time itself.
		if fd, err := unix.Open("/dev/kmsg", unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0); err == nil {
			_, _ = unix.Write(fd, line)
			_ = unix.Close(fd)
		}
	}
}

// send hands line to the datagram socket at path.
func send(path string, line []byte) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return unix.Sendto(fd, line, unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: path})
}
