// SPDX-License-Identifier: Apache-2.0

// Package syslog writes one line to the system log.
//
// The standard library's log/syslog brings the whole of package net with it,
// and this one is linked into the process that waits beside every created
// container (see package tracer, which also says why it imports so little); so
// it speaks to /dev/log with three system calls. Where no log daemon listens,
// a failure goes to the kernel's log.
package syslog

import (
	"strconv"
	"syscall"

	"github.com/oci-secrets/oci-secrets/hook/printable"
)

// The priorities are facility daemon (3) with severity error (3) and info (6):
// RFC 5424, 6.2.1.
const (
	failure = "<27>"
	notice  = "<30>"
)

// socket is where a log daemon listens.
const socket = "/dev/log"

// Error logs msg as one line under the tag oci-secrets. It never blocks, and a
// log that cannot be reached is not an error: the log is the second place a
// failure is told, never the only effect it has.
func Error(msg string) {
	if line := record(failure, msg); send(socket, line) != nil {
		// The kernel takes one record for one write and adds the time itself.
		if fd, err := syscall.Open("/dev/kmsg", syscall.O_WRONLY|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0); err == nil {
			_, _ = syscall.Write(fd, line)
			_ = syscall.Close(fd)
		}
	}
}

// Info logs what went as it should. Where no log daemon listens it is lost: the
// kernel's log is for what went wrong.
func Info(msg string) { _ = send(socket, record(notice, msg)) }

// record is msg as a log daemon takes it.
func record(priority, msg string) []byte {
	return []byte(priority + "oci-secrets[" + strconv.Itoa(syscall.Getpid()) + "]: " + printable.Line(msg))
}

// send hands line to the datagram socket at path.
func send(path string, line []byte) error {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer func() { _ = syscall.Close(fd) }()
	return syscall.Sendto(fd, line, syscall.MSG_NOSIGNAL, &syscall.SockaddrUnix{Name: path})
}
