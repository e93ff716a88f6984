"""A wire between two processes that can be cut: a relay on the loopback address that spoils what passes it."""

import asyncio
import contextlib
import socket
import struct

from lab.ports import HOST

CHUNK = 65536
DEFECTS = ("refused", "silent", "slow", "reset")
"""Nobody listens; nothing passes any more, either way; everything is late; connections break now, new ones work."""
LATE = 0.15  # seconds that a slow wire needs for each piece
WAITS = 1.0  # seconds of a connection to the other end


class Wire:
    """Relays `port` to `target`, both of 127.0.0.1, until `close`. All of it in one event loop."""

    def __init__(self, port, target):
        self.port, self._target = port, target
        self._server = None
        self._passes = asyncio.Event()
        self._passes.set()
        self._late = 0.0
        self._ends = set()
        self._relays = set()

    async def open(self):
        """Listen."""
        self._server = await asyncio.start_server(self._relay, HOST, self.port)

    async def close(self):
        """Break everything, and listen no more."""
        self._passes.set()
        self._refuse()
        await asyncio.gather(*self._relays, return_exceptions=True)

    def _refuse(self):
        if self._server:
            self._server.close()
            self._server = None
        self._break()

    def spoil(self, defect):
        """Begin one of DEFECTS."""
        match defect:
            case "refused":
                self._refuse()
            case "silent":
                self._passes.clear()
            case "slow":
                self._late = LATE
            case "reset":
                self._break()

    async def mend(self):
        """Let everything pass; what a silent wire kept goes on."""
        self._late = 0.0
        self._passes.set()
        if self._server is None:
            await self.open()

    def _break(self):
        for writer in list(self._ends):
            end = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):  # with nothing to linger for, closing sends a reset
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def _relay(self, reader, writer):
        self._ends.add(writer)
        self._relays.add(asyncio.current_task())
        other = None
        try:
            await self._passes.wait()
            async with asyncio.timeout(WAITS):
                far, other = await asyncio.open_connection(HOST, self._target)
            self._ends.add(other)
            await asyncio.gather(self._pump(reader, other), self._pump(far, writer))
        except OSError:  # TimeoutError is one
            pass
        finally:
            for end in (writer, other):
                if end is not None:
                    end.transport.abort()
                    self._ends.discard(end)
            self._relays.discard(asyncio.current_task())

    async def _pump(self, reader, writer):
        while piece := await reader.read(CHUNK):
            await self._passes.wait()
            if self._late:
                await asyncio.sleep(self._late)
            writer.write(piece)
            await writer.drain()
        await self._passes.wait()
        if writer.can_write_eof():
            with contextlib.suppress(OSError):
                writer.write_eof()
