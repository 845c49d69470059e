// SPDX-License-Identifier: Apache-2.0

package keeper

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oci-secrets/oci-secrets/resolver/process"
)

// maxGrace is the longest time that a container gets to stop in.
const maxGrace = 30 * time.Second

// end sees to a lease that is not renewed any more, of a container that runs,
// and says when to look again.
func (k *Keeper) end(h *held, now time.Duration) time.Duration {
	ends := h.Expires()
	grace := min(h.Asked/4, maxGrace)
	// One that never could be renewed is told of when others are.
	warn := now
	if !h.Renewable {
		warn = h.Issued + 2*h.TTL/3
	}
	if now < warn {
		return warn
	}
	if !h.warned && now < ends {
		h.warned = true
		why, then := "and", "its credentials end then"
		if h.limited {
			why = "with the login that it was made with, which"
		}
		if k.Stop {
			then = "it is stopped before"
		}
		k.Log("container %s: its lease of %s ends in %v, %s cannot be renewed: %s", h.Container, h.Path, (ends - now).Round(time.Second), why, then)
	}
	if k.Stop {
		return k.stop(h, now, ends, grace)
	}
	if now < ends {
		return ends
	}
	if !h.ended {
		h.ended = true
		k.Log("container %s: its lease of %s has ended", h.Container, h.Path)
	}
	return now + poll
}

// stop tells the container's first process to end, and ends it where it has not
// by the end of the lease: the first process of a pid namespace may not listen
// to SIGTERM (pid_namespaces(7)).
func (k *Keeper) stop(h *held, now, ends, grace time.Duration) time.Duration {
	if !h.stopped {
		if now < ends-grace {
			return ends - grace
		}
		h.stopped = true
		k.Log("container %s: it is told to stop, as its lease of %s ends", h.Container, h.Path)
		k.signal(h, unix.SIGTERM)
		if now >= ends { // it was lost, or nobody was here; the container gets some time all the same
			ends = now + grace
			h.TTL = ends - h.Issued
		}
	}
	if now < ends {
		return ends
	}
	if !h.ended {
		h.ended = true
		k.Log("container %s: it has not stopped by the end of its lease of %s, and is killed", h.Container, h.Path)
	}
	k.signal(h, unix.SIGKILL)
	return now + poll
}

// signal sends a signal to the container's first process and to no other.
func (k *Keeper) signal(h *held, signal unix.Signal) {
	err := errors.New("it has no process on this kernel")
	if h.Pid != 0 {
		err = send(h.Pid, h.Started, signal)
	}
	if err != nil {
		k.trouble("container " + h.Container + " cannot be stopped: " + err.Error())
	}
}

func send(pid int, started string, signal unix.Signal) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }() // only signalled
	// From here on the descriptor is of the one process, whichever it is.
	if process.Ended(pid, started) {
		if !process.Gone(pid, started, "") {
			return errors.New("its process cannot be seen")
		}
		return nil
	}
	if err := unix.PidfdSendSignal(fd, signal, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}
