"""What the master and a worker say to each other, and the wire between them.

The wire is a Unix socket pair. A message is a MessagePack map after its length (4 bytes, big endian). What is sent
in one turn of the event loop goes out in one piece, so the writes of many clients share their trip to the journal.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import msgspec

from alcor_migrate.gateway.routes import Route  # noqa: TC001  (msgspec reads the annotations at run time)
from alcor_migrate.gateway.settings import GatewaySettings  # noqa: TC001
from alcor_migrate.gateway.stats import Stats  # noqa: TC001
from alcor_migrate.journal import Intent, Outcome  # noqa: TC001

if TYPE_CHECKING:
    from collections.abc import Callable

_LENGTH = 4


class Message(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Anything that is said. `number` pairs a question with its answer."""


# -- the master says -------------------------------------------------------------------------------------------


class Follow(Message, frozen=True):
    """This is the route from now on; writes go by `active` meanwhile, and ask for a turn when `queueing`."""

    route: Route
    active: Route
    reads: str
    """The side that serves reads."""
    epoch: int
    queueing: bool


class Start(Message, frozen=True):
    """Listen, by this route."""

    settings: GatewaySettings
    follow: Follow
    identifies: bool


class Ping(Message, frozen=True):
    """The master lived `at` this time (seconds of the machine's monotonic clock)."""

    at: float


class Drain(Message, frozen=True):
    """Say when no write of an earlier epoch is in flight, if that is within this time."""

    number: int
    patience: float


class Kept(Message, frozen=True):
    """It is in the journal under this seq or position; or it is not, and why."""

    number: int
    value: int = 0
    error: str = ""


class Known(Message, frozen=True):
    """Whose token it is."""

    number: int
    project_id: str | None = None
    user_id: str | None = None


class Go(Message, frozen=True):
    """It is this write's turn."""

    number: int


class Permit(Message, frozen=True):
    """The reads that asked may go to the passive side, or why not."""

    number: int
    why: str


class Healed(Message, frozen=True):
    """A sweep has found what had passed without a record."""


class Stop(Message, frozen=True):
    """Finish and end."""


# -- a worker says ---------------------------------------------------------------------------------------------


class Up(Message, frozen=True):
    """It runs and waits for Start."""


class Listening(Message, frozen=True):
    """It listens; or it cannot, and why."""

    error: str = ""


class Following(Message, frozen=True):
    """The route of this epoch is followed: nothing new goes by an older one."""

    epoch: int


class Pong(Message, frozen=True):
    """How it is."""

    stats: Stats
    in_flight: int


class Drained(Message, frozen=True):
    """No write of an earlier epoch is in flight any more."""

    number: int


class KeepIntent(Message, frozen=True):
    """Record this write before it is forwarded."""

    number: int
    intent: Intent


class KeepOutcome(Message, frozen=True):
    """Record what became of it."""

    number: int
    seq: int
    outcome: Outcome


class KeepRead(Message, frozen=True):
    """Record a read that may have written."""

    number: int
    intent: Intent
    outcome: Outcome


class Identify(Message, frozen=True):
    """Say whose token this is."""

    number: int
    token: str


class Missed(Message, frozen=True):
    """A write passes without a record."""

    error: str


class Wait(Message, frozen=True):
    """A write of this size and with this token waits for its turn since `arrived` (monotonic clock)."""

    number: int
    size: int
    token: str
    arrived: float


class Left(Message, frozen=True):
    """Its turn is over, or it does not want one any more."""

    number: int


class MayRead(Message, frozen=True):
    """So many reads have come and could go to the passive side."""

    number: int
    many: int


class Doubt(Message, frozen=True):
    """A write is about to be answered although its outcome is not known to be durable."""


class ReadOne(Message, frozen=True):
    """A GET was answered, and is one of the share that the engine is told."""

    target: bytes
    token: str


FromMaster = Start | Follow | Ping | Drain | Kept | Known | Go | Permit | Healed | Stop
FromWorker = (
    Up
    | Listening
    | Following
    | Pong
    | Drained
    | KeepIntent
    | KeepOutcome
    | KeepRead
    | Identify
    | Missed
    | Wait
    | Left
    | MayRead
    | Doubt
    | ReadOne
)


class Channel(asyncio.Protocol):
    """One end of the wire. `received` is called for each message, `lost` once, after the last of them."""

    def __init__(self, kind: Any, received: Callable[[Any], None], lost: Callable[[], None]) -> None:
        self._decoder = msgspec.msgpack.Decoder(kind)
        self._encoder = msgspec.msgpack.Encoder()
        self._received = received
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._out = bytearray()
        self._in = bytearray()

    def send(self, message: Message) -> None:
        """Sends a message; after the end of the channel it goes nowhere."""
        if not self._out:
            self._loop.call_soon(self.flush)
        data = self._encoder.encode(message)
        self._out += len(data).to_bytes(_LENGTH, "big")
        self._out += data

    def flush(self) -> None:
        """Gives what was sent in this turn to the system now."""
        if self._out and self._transport is not None:
            self._transport.write(bytes(self._out))
            self._out.clear()

    def close(self) -> None:
        """Ends it."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102  (asyncio's)
        self._transport = cast("asyncio.Transport", transport)
        self.flush()

    def data_received(self, data: bytes) -> None:  # noqa: D102  (asyncio's)
        self._in += data
        at = 0
        with memoryview(self._in) as view:
            while len(view) - at >= _LENGTH:
                end = at + _LENGTH + int.from_bytes(view[at : at + _LENGTH], "big")
                if len(view) < end:
                    break
                message = self._decoder.decode(view[at + _LENGTH : end])
                at = end
                self._received(message)
        del self._in[:at]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002, D102  (asyncio's)
        self._transport = None
        self._out.clear()
        self._lost()
