"""A scripted upstream and a raw client."""

import asyncio
import contextlib
import re
import struct
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET

PATIENCE = 15.0  # seconds; only what never comes takes so long


def answer(body=b"{}", status="200 OK", *fields):
    lines = [f"HTTP/1.1 {status}".encode(), b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@dataclass
class Seen:
    """A request as the upstream got it."""

    head: bytes
    body: bytes
    connection: int

    @property
    def line(self):
        return self.head.split(b"\r\n")[0].decode()

    def field(self, name):
        found = re.findall(rb"(?im)^%b:[ \t]*(.*?)\r$" % name.encode(), self.head)
        return [value.decode() for value in found]


@dataclass
class UpstreamServer:
    """Reads whole requests by its own simple means and does what its `script` says.

    `script(seen, writer)` may return bytes (sent as they are), None (close without an answer), or be async.
    """

    script: object = None
    seen: list = field(default_factory=list)
    connections: int = 0
    open_now: int = 0
    name: bytes = b"source"

    async def start(self):
        self.writers = set()
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def stop(self):
        self.server.close()
        for writer in list(self.writers):
            writer.transport.abort()
        await self.server.wait_closed()
        while self.writers:
            await asyncio.sleep(0.001)

    async def _serve(self, reader, writer):
        self.connections += 1
        number = self.connections
        self.writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = b""
                seen = Seen(head, body, number)
                if seen.field("Transfer-Encoding") == ["chunked"]:
                    while size := int(await reader.readuntil(b"\n"), 16):
                        seen.body += await reader.readexactly(size)
                        await reader.readexactly(2)
                    while (line := await reader.readuntil(b"\n")) != b"\r\n":
                        seen.body += line
                elif length := seen.field("Content-Length"):
                    seen.body = await reader.readexactly(int(length[0]))
                self.seen.append(seen)
                result = self.script(seen, writer) if self.script else answer(self.name)
                if asyncio.iscoroutine(result):
                    result = await result
                if result is None:
                    return
                writer.write(result)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


class RawClient:
    """Sends bytes, reads messages."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    def reset(self):
        """Leaves without a word: the other side sees a reset, not an end."""
        socket = self.writer.get_extra_info("socket")
        socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def head(self):
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE)

    async def answer(self, *, to_head=False):
        """(status, head, body) of one answer."""
        head = await self.head()
        status = int(head.split(b" ")[1])
        if to_head or status < 200 or status in (204, 304):
            return status, head, b""
        if re.search(rb"(?i)\r\ntransfer-encoding: *chunked\r\n", head):
            body = b""
            while size := int(await asyncio.wait_for(self.reader.readline(), PATIENCE), 16):
                body += await self.reader.readexactly(size)
                assert await self.reader.readexactly(2) == b"\r\n"
            while (line := await self.reader.readline()) != b"\r\n":
                body += line
            return status, head, body
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)\r\n", head)
        if length:
            return status, head, await asyncio.wait_for(self.reader.readexactly(int(length[1])), PATIENCE)
        return status, head, await self.rest()

    async def rest(self):
        return await asyncio.wait_for(self.reader.read(), PATIENCE)

    async def ask(self, method, path, body=b"", *fields, host=b"api"):
        lines = [f"{method} {path} HTTP/1.1".encode(), b"Host: " + host, *fields]
        if body:
            lines.append(b"Content-Length: %d" % len(body))
        await self.send(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        return await self.answer(to_head=method == "HEAD")


async def eventually(condition, seconds=PATIENCE):
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "it never came true"
        await asyncio.sleep(0.002)
