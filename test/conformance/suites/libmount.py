# SPDX-License-Identifier: Apache-2.0

"""What crun's tests use of Python's libmount, of which Debian has no package."""


class Mount:
    """A line of /proc/self/mountinfo, see proc_pid_mountinfo(5)."""

    def __init__(self, line):
        self.target, self.vfs_options = line.split()[4:6]
        self.fs_options = line.split(" - ")[1].split()[2]


class Table:
    """A file of such lines."""

    def __init__(self, path):
        with open(path) as f:
            self.mounts = [Mount(line) for line in f if " - " in line]

    def find_target(self, path):
        """The mount that is seen at a path: the last one."""
        return [m for m in self.mounts if m.target == path][-1]
