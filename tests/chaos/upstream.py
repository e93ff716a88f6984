"""A stand-in for the network API that remembers for good every write that it executed: `upstream.py PORT FILE SEED`.

A write is executed when its line is in FILE, which a SIGKILL of this process does not take back. Drawn from the
seed, an answer is late, or the connection drops before the write is executed, or after it and before the answer.
"""

import asyncio
import json
import random
import sys

LATE, DROP_BEFORE, DROP_AFTER = 0.05, 0.02, 0.02  # shares of all writes


async def read_request(reader):
    """(method, body); asyncio.IncompleteReadError when there is no more."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
    return head.split(" ", 1)[0], await reader.readexactly(int(fields.get("content-length", 0)))


def serve(executed, rng):
    """A connection's handler that appends what it executes to `executed`."""

    async def handle(reader, writer):
        try:
            while True:
                method, body = await read_request(reader)
                if method == "GET":
                    answer, status = b"{}", b"200 OK"
                else:
                    draw = rng.random()
                    if draw < DROP_BEFORE:
                        break
                    executed.write(json.loads(body)["name"] + "\n")
                    executed.flush()
                    if draw < DROP_BEFORE + DROP_AFTER:
                        break
                    if draw < DROP_BEFORE + DROP_AFTER + LATE:
                        await asyncio.sleep(rng.uniform(0.01, 0.1))
                    answer, status = body, b"201 Created"
                writer.write(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(answer), answer))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    return handle


async def main(port, path, seed):
    with open(path, "a", encoding="utf-8") as executed:  # noqa: ASYNC230, PTH123  (a line at a time is what it is for)
        server = await asyncio.start_server(serve(executed, random.Random(seed)), "127.0.0.1", port)
        async with server:
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
