"""Become another program that dies with its parent.

usage: launch.py PARENT_PID PROGRAM [ARGUMENT ...]

PARENT_PID 0 means: outlive the parent.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, however that happens."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the kernel knew
        os._exit(1)


def main() -> None:
    """Run the program named on the command line in place of this one."""
    parent = int(sys.argv[1])
    if parent:
        die_with(parent)
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606  # becoming the program is what this is for


if __name__ == "__main__":
    main()
