"""Free TCP ports of 127.0.0.1 that stay ours until we give them back."""

from __future__ import annotations

import socket
from contextlib import suppress

HOST = "127.0.0.1"


class Ports:
    """Reserves ports, so that labs side by side never get the same one.

    A reservation is a socket that is bound but does not listen. On Linux the kernel gives its port to nobody
    who asks for any free port, while a server that binds this very port with SO_REUSEADDR (as all of the
    lab's do) may listen there, die, and come back as often as it likes.
    """

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def reserve(self) -> int:
        """Return a port that is free and will not be handed out again until `release`."""
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((HOST, 0))
        self._held.append(held)
        return int(held.getsockname()[1])

    def release(self) -> None:
        """Give all ports back; servers that listen on them are not disturbed."""
        while self._held:
            with suppress(OSError):
                self._held.pop().close()
