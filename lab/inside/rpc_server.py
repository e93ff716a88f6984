"""Run neutron-rpc-server so that its workers end with it, however it ends: left alone they outlive a SIGKILL.

usage: rpc_server.py NEUTRON'S OPTIONS
"""

import os
import sys

from launch import die_with  # type: ignore[import-not-found]  # a script's own folder is its path


def bind_children() -> None:
    """Have every process that is forked from now on die with the one that forked it."""
    forking: list[int] = []
    os.register_at_fork(
        before=lambda: forking.append(os.getpid()),
        after_in_parent=forking.clear,
        after_in_child=lambda: die_with(forking[-1]),
    )


def main() -> None:
    """Become the server."""
    from neutron.cmd.server import main_rpc  # type: ignore[import-not-found]  # noqa: PLC0415  # the cloud has it

    bind_children()
    sys.argv[0] = "neutron-rpc-server"
    main_rpc()


if __name__ == "__main__":
    main()
