"""HTTP/1.1 messages without I/O: strict heads, body framing, and how they are written again (RFC 9110, RFC 9112).

One grammar, no lenience: what two servers could delimit differently is refused, so nothing can be smuggled. Fields
that pass are forwarded as the bytes they came in. Requests of one client repeat their fields, so their parsed form
is remembered.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_REQUEST_LINE: Final = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e]++) HTTP/1\.([01])\r\n").match
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) (([1-5][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?+)\r\n")
_FIELD_LINES = re.compile(rb"(?:" + _TOKEN + rb":[\t\x20-\x7e\x80-\xff]*+\r\n)*+")
_FIELD = re.compile(rb"([^:\r\n]+):[\t ]*([^\r\n]*)\r\n")
_HOP_IN_ANSWER = re.compile(
    rb"\n(connection|keep-alive|proxy-connection|transfer-encoding|upgrade|content-length):[\t ]*([^\r\n]*)",
    re.IGNORECASE,
)
# Nearly every answer: HTTP/1.1, a body of one stated length, and nothing that is meant for this hop only.
_PLAIN_LINES = (
    rb"(?:(?:(?=[^CcKkPpTtUu])|(?!(?i:connection|keep-alive|proxy-connection|transfer-encoding|upgrade|content-length):))"
    + _TOKEN
    + rb":[\t\x20-\x7e\x80-\xff]*+\r\n)*+"
)
_PLAIN_ANSWER: Final = re.compile(
    rb"HTTP/1\.1 ((2(?:0[0-35-9]|[1-9][0-9])|[45][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?+)\r\n("
    + _PLAIN_LINES
    + rb"(?i:content-length):[\t ]*([0-9]{1,18})\r\n"
    + _PLAIN_LINES
    + rb")\r\n"
).match
_BARE_LF = re.compile(rb"(?<!\r)\n")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_HOST = re.compile(rb"[A-Za-z0-9._~%!$&'()*+,;=:\[\]-]*")
_ABSOLUTE = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?#]+)([^#]*)")
_CHUNK_LINE = re.compile(
    rb"([0-9A-Fa-f]{1,16})(?:;" + _TOKEN + rb"(?:=(?:" + _TOKEN + rb"|\"[\t\x20-\x21\x23-\x5b\x5d-\x7e]*\"))?)*\r\n"
)
_REQUEST_ID = re.compile(rb"req-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ANSWER_ID = re.compile(rb"\nx-openstack-request-id:[\t ]*([^\r\n]{1,128})", re.IGNORECASE)

# RFC 9110 §7.6.1: meant for the next hop only
_HOP_BY_HOP: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade"}
)
_REWRITTEN: Final = frozenset(
    {b"content-length", b"expect", b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"}
)
_NOT_FORWARDED: Final = _HOP_BY_HOP | _REWRITTEN
_UNDERSTOOD: Final = frozenset(
    {
        b"connection",
        b"content-length",
        b"content_length",
        b"expect",
        b"forwarded",
        b"host",
        b"transfer-encoding",
        b"transfer_encoding",
        b"x-auth-token",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-openstack-request-id",
    }
)
# of the Connection field: they name no other field, or one that has to stay
_PLAIN_OPTIONS: Final = frozenset({b"close", b"host", b"keep-alive"})
_NONE: Final[list[bytes]] = []
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})
_NEVER_IN_TRAILERS: Final = _HOP_BY_HOP | {b"host", b"x-auth-token", b"content-encoding"}
_REMEMBERED_BYTES: Final = 2048
_SLASH: Final = 47
_MAX_CHUNK_LINE = 256
_MAX_TRAILERS = 8192


class BadMessage(Exception):
    """A message that is refused, and the status that says so."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class Fields:
    """What the gateway needs to know of a request's fields. It is shared between requests: change nothing.

    `forward` are the lines that go on as they are, with X-Forwarded-Host behind them. `ending` are those that were
    read, with the empty line; nothing where they are too long to be remembered.
    """

    __slots__ = (
        "chunked",
        "close",
        "ending",
        "expects_continue",
        "forward",
        "forwarded",
        "forwarded_for",
        "forwarded_proto",
        "has_request_id",
        "hosts",
        "keep_alive",
        "length",
        "request_id",
        "token",
    )

    def __init__(self, forward: bytes, length: int | None, *, chunked: bool) -> None:
        self.ending = b""
        self.forward = forward
        self.length = length
        self.chunked = chunked
        self.expects_continue = False
        self.keep_alive = False
        """The client asks for it."""
        self.close = False
        self.hosts = 0
        self.token = ""
        self.request_id = ""
        self.has_request_id = False
        self.forwarded = b""
        """What proxies before us have said in the form of RFC 7239."""
        self.forwarded_for = b""
        self.forwarded_proto = b""


class RequestHead:
    """The head of a request. `target` is path and query as the client sent them."""

    __slots__ = ("fields", "method", "minor", "target")

    def __init__(self, method: bytes, target: bytes, minor: int, fields: Fields) -> None:
        self.method = method
        self.target = target
        self.minor = minor
        self.fields = fields

    @property
    def keep_alive(self) -> bool:
        """Whether the client wants to use its connection again (RFC 9112 §9.3)."""
        return not self.fields.close and (self.minor == 1 or self.fields.keep_alive)

    @property
    def has_body(self) -> bool:
        """Whether bytes follow the head."""
        return self.fields.chunked or bool(self.fields.length)


class ResponseHead:
    """The head of an answer. `line` is status and reason; `forward` are the lines that go on.

    `length` None and not `chunked` means that the body ends with the connection. `whole` is the whole answer with its
    `body` as it was received, where all of it came at once and goes on unchanged while the client's connection stays.
    """

    __slots__ = ("chunked", "forward", "keep_alive", "length", "line", "status", "whole")

    def __init__(
        self, status: int, line: bytes, forward: bytes, length: int | None, *, chunked: bool, keep_alive: bool
    ) -> None:
        self.status = status
        self.line = line
        self.forward = forward
        self.length = length
        self.chunked = chunked
        self.keep_alive = keep_alive
        self.whole = b""

    @property
    def body(self) -> bytes:
        """The body of an answer that came as a whole."""
        return self.whole[len(self.whole) - (self.length or 0) :]


def find_head(data: bytes, scanned: int) -> int:
    """The length of the complete head at the start of `data`, or 0. Raises BadMessage at a bare line feed."""
    end = data.find(b"\r\n\r\n", scanned - 3 if scanned > 3 else 0)  # noqa: PLR2004  (a cut terminator)
    if end >= 0:
        return end + 4
    if _BARE_LF.search(data, scanned):
        msg = "a line ends without carriage return"
        raise BadMessage(msg)
    return 0


def repeated_head(data: bytes, before: Fields) -> RequestHead | None:
    """The head of a request that is all of `data` and has the fields of an earlier one, byte by byte.

    None: see `find_head` and `parse_request_head`. Raises BadMessage.
    """
    ending = before.ending
    if not ending or not data.endswith(ending):
        return None
    match = _REQUEST_LINE(data)
    if match is None or match.end() + len(ending) != len(data):
        return None
    method, target, minor = match.groups()
    return _request_head(method, target, minor, before) if target[0] == _SLASH else None


def parse_request_head(data: bytes) -> RequestHead:
    """Reads one complete head, up to and with its empty line. Raises BadMessage."""
    match = _REQUEST_LINE(data)
    if match is None:
        msg = "the request line is malformed"
        raise BadMessage(msg)
    method, target, minor = match.groups()
    block = data[match.end() : -2]
    if target[0] != _SLASH:
        target, block = _origin_form(method, target, block)
    fields = _remembered(block) if len(block) <= _REMEMBERED_BYTES else request_fields(block)
    return _request_head(method, target, minor, fields)


def _request_head(method: bytes, target: bytes, minor: bytes, fields: Fields) -> RequestHead:
    """What depends on the version, too."""
    if minor == b"1":
        if fields.hosts != 1:
            msg = "exactly one Host field is needed"
            raise BadMessage(msg)
        return RequestHead(method, target, 1, fields)
    if fields.chunked:
        msg = "HTTP/1.0 knows no transfer codings"
        raise BadMessage(msg)
    if fields.hosts > 1:
        msg = "exactly one Host field is needed"
        raise BadMessage(msg)
    return RequestHead(method, target, 0, fields)


def _origin_form(method: bytes, target: bytes, block: bytes) -> tuple[bytes, bytes]:
    """RFC 9112 §3.2.2: an absolute target names the host instead of the Host field."""
    if target == b"*" and method == b"OPTIONS":
        return target, block
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        msg = "the request target is malformed"
        raise BadMessage(msg)
    authority, path = match.groups()
    if not _FIELD_LINES.fullmatch(block):
        msg = "a header field is malformed"
        raise BadMessage(msg)
    lines = [line for line in block.split(b"\r\n") if line]
    others = [line for line in lines if line[:5].lower() != b"host:"]
    if len(lines) - len(others) > 1:
        msg = "exactly one Host field is needed"
        raise BadMessage(msg)
    block = b"\r\n".join([b"Host: " + authority, *others, b""])
    return (path if path.startswith(b"/") else b"/" + path), block


def request_fields(block: bytes) -> Fields:
    """Reads the field lines of a request. Raises BadMessage."""
    if not _FIELD_LINES.fullmatch(block):
        msg = "a header field is malformed"
        raise BadMessage(msg)
    known: dict[bytes, list[bytes]] = {}
    kept: list[bytes] = []
    for line in block.split(b"\r\n"):
        name, _, value = line.partition(b":")
        name = name.lower()
        if name in _UNDERSTOOD:
            known.setdefault(name, []).append(value.strip(b"\t "))
        if name not in _NOT_FORWARDED:
            kept.append(line)
    length, chunked = _request_framing(known)
    options = _options(known.get(b"connection", _NONE))
    hosts = known.get(b"host", _NONE)
    if hosts and not _HOST.fullmatch(hosts[0]):
        msg = "the Host field is malformed"
        raise BadMessage(msg)
    # what a proxy before us has said is nearer to the client
    forwarded_host = b", ".join(known.get(b"x-forwarded-host", hosts))
    # behind the last line's end is an empty piece
    kept[-1:] = [b"X-Forwarded-Host: " + forwarded_host, b""] if forwarded_host else [b""]
    if named := options - _PLAIN_OPTIONS:
        kept = [line for line in kept if line.partition(b":")[0].lower() not in named]
    fields = Fields(b"\r\n".join(kept), length, chunked=chunked)
    fields.expects_continue = _expects(known)
    fields.keep_alive = b"keep-alive" in options
    fields.close = b"close" in options
    fields.hosts = len(hosts)
    if tokens := known.get(b"x-auth-token"):
        fields.token = tokens[0].decode("latin-1")
    if ids := known.get(b"x-openstack-request-id"):
        fields.has_request_id = True
        if len(ids) == 1 and _REQUEST_ID.fullmatch(ids[0]):
            fields.request_id = ids[0].decode().lower()
    fields.forwarded = b", ".join(known.get(b"forwarded", _NONE))
    fields.forwarded_for = b", ".join(known.get(b"x-forwarded-for", _NONE))
    fields.forwarded_proto = b", ".join(known.get(b"x-forwarded-proto", _NONE))
    return fields


@functools.lru_cache(maxsize=1024)
def _remembered(block: bytes) -> Fields:
    fields = request_fields(block)
    fields.ending = block + b"\r\n"
    return fields


def _request_framing(known: dict[bytes, list[bytes]]) -> tuple[int | None, bool]:
    """RFC 9112 §6.3, where anything ambiguous is refused."""
    lengths, codings = known.get(b"content-length"), known.get(b"transfer-encoding")
    # WSGI knows fields by names in which both of these would be the same
    if b"content_length" in known or b"transfer_encoding" in known:
        msg = "a framing field is spelled with an underscore"
        raise BadMessage(msg)
    if lengths and codings:
        msg = "both Content-Length and Transfer-Encoding are given"
        raise BadMessage(msg)
    if codings:
        if len(codings) != 1 or codings[0].lower() != b"chunked":
            msg = "the only transfer coding that is known is chunked"
            raise BadMessage(msg)
        return None, True
    if lengths:
        if len(lengths) != 1 or not _LENGTH.fullmatch(lengths[0]):
            msg = "Content-Length is not one number"
            raise BadMessage(msg)
        return int(lengths[0]), False
    return None, False


def _expects(known: dict[bytes, list[bytes]]) -> bool:
    values = known.get(b"expect")
    if not values:
        return False
    if len(values) != 1 or values[0].lower() != b"100-continue":
        msg = "the expectation is not known"
        raise BadMessage(msg, 417)
    return True


def _options(values: list[bytes]) -> frozenset[bytes]:
    return frozenset([option for part in b",".join(values).split(b",") if (option := part.strip(b"\t ").lower())])


def plain_response_head(data: bytes) -> tuple[ResponseHead, int] | None:
    """The head of an answer of the common kind and its length, in one look; None: see `parse_response_head`.

    Not for answers to HEAD.
    """
    match = _PLAIN_ANSWER(data)
    if match is None:
        return None
    line, status, forward, digits = match.groups()
    length = int(digits)
    head = ResponseHead(int(status), line, forward, length, chunked=False, keep_alive=True)
    end: int = match.end()
    if len(data) == end + length:
        head.whole = data
    return head, end


def parse_response_head(data: bytes, *, to_head: bool = False) -> ResponseHead:
    """Reads one complete head of an answer; `to_head` says that HEAD was asked. Raises BadMessage."""
    match = _STATUS_LINE.match(data)
    if match is None or not _FIELD_LINES.fullmatch(data, match.end(), len(data) - 2):
        msg = "the answer's head is malformed"
        raise BadMessage(msg, 502)
    minor, line, digits = match.groups()
    status = int(digits)
    hops = _HOP_IN_ANSWER.findall(data)
    forward = data[match.end() : -2]
    lengths: list[bytes] = []
    codings: list[bytes] = []
    options: frozenset[bytes] = frozenset()
    for name, value in hops:
        lowered = name.lower()
        if lowered == b"content-length":
            lengths.append(value.rstrip(b"\t "))
        elif lowered == b"transfer-encoding":
            codings.append(value.rstrip(b"\t ").lower())
        elif lowered == b"connection":
            options |= _options([value])
    if len(hops) > len(lengths) or len(lengths) > 1:
        forward = _without(forward, options, keep_length=not codings)
    if len(set(lengths)) > 1 or (lengths and not _LENGTH.fullmatch(lengths[0])):
        msg = "the answer's Content-Length is not one number"
        raise BadMessage(msg, 502)
    if codings and codings != [b"chunked"]:
        msg = "the answer's transfer coding is not known"
        raise BadMessage(msg, 502)
    length = int(lengths[0]) if lengths and not codings else None
    if to_head or status < 200 or status in (204, 304):  # noqa: PLR2004  (RFC 9112 §6.3: these never have a body)
        length = 0
    keep_alive = b"close" not in options and (minor == b"1" or b"keep-alive" in options)
    # both kinds of framing: RFC 9112 §6.3 lets the coding win, and the connection is not trusted any further
    keep_alive = keep_alive and not (lengths and codings)
    chunked = bool(codings) and length is None
    return ResponseHead(status, line, forward, length, chunked=chunked, keep_alive=keep_alive)


def request_id_of(head: ResponseHead) -> str:
    """The X-Openstack-Request-Id of an answer, or nothing."""
    match = _ANSWER_ID.search(b"\n" + head.forward)
    return match[1].decode("latin-1").rstrip() if match else ""


def _without(block: bytes, options: frozenset[bytes], *, keep_length: bool) -> bytes:
    kept: list[bytes] = []
    seen_length = not keep_length
    for match in _FIELD.finditer(block):
        name = match[1].lower()
        if name in _HOP_BY_HOP or name in options:
            continue
        if name == b"content-length":
            if seen_length:
                continue
            seen_length = True
        kept.append(match[0])
    return b"".join(kept)


class FixedBody:
    """A body of known length."""

    __slots__ = ("left",)

    trailers = b""

    def __init__(self, length: int) -> None:
        self.left = length

    def feed(self, data: bytes) -> tuple[bytes, bytes, bool]:
        """Payload, what follows the body, and whether it is complete."""
        size = len(data)
        if size < self.left:
            self.left -= size
            return data, b"", False
        payload, rest = (data, b"") if size == self.left else (data[: self.left], data[self.left :])
        self.left = 0
        return payload, rest, True


class OpenBody:
    """A body that ends with the connection."""

    __slots__ = ()

    trailers = b""

    def feed(self, data: bytes) -> tuple[bytes, bytes, bool]:
        """All of it is payload."""
        return data, b"", False


_Step = Callable[[bytes, int, "list[bytes]"], "tuple[int, bool]"]


class ChunkedBody:
    """A chunked body (RFC 9112 §7.1). Extensions are dropped; trailers that may be forwarded are kept."""

    __slots__ = ("_buffer", "_left", "_state", "_trailer_bytes", "trailers")

    def __init__(self) -> None:
        self._buffer = b""
        self._left = 0
        self._state: _Step = self._size_line
        self._trailer_bytes = 0
        self.trailers = b""

    def feed(self, data: bytes) -> tuple[bytes, bytes, bool]:
        """Payload, what follows the body, and whether it is complete. Raises BadMessage."""
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        payload: list[bytes] = []
        at = 0
        while True:
            following, done = self._state(data, at, payload)
            if done:
                return b"".join(payload), data[following:], True
            if following < 0:
                self._buffer = data[at:]
                return b"".join(payload), b"", False
            at = following

    # Each state takes what it can from `at` and answers where to go on (-1: needs more) and whether it is the end.

    def _size_line(self, data: bytes, at: int, _payload: list[bytes]) -> tuple[int, bool]:
        line = self._line(data, at, _MAX_CHUNK_LINE)
        if not line:
            return -1, False
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            msg = "a chunk's size is malformed"
            raise BadMessage(msg)
        self._left = int(match[1], 16)
        if self._left:
            self._state = self._data
        else:
            self._state = self._trailer
        return at + len(line), False

    def _data(self, data: bytes, at: int, payload: list[bytes]) -> tuple[int, bool]:
        piece = data[at : at + self._left]
        if not piece:
            return -1, False
        payload.append(piece)
        self._left -= len(piece)
        if not self._left:
            self._state = self._data_end
        return at + len(piece), False

    def _data_end(self, data: bytes, at: int, _payload: list[bytes]) -> tuple[int, bool]:
        ending = data[at : at + 2]
        if not b"\r\n".startswith(ending):
            msg = "a chunk is longer than its size"
            raise BadMessage(msg)
        if len(ending) < 2:  # noqa: PLR2004  (a line's end)
            return -1, False
        self._state = self._size_line
        return at + 2, False

    def _trailer(self, data: bytes, at: int, _payload: list[bytes]) -> tuple[int, bool]:
        line = self._line(data, at, _MAX_TRAILERS - self._trailer_bytes)
        if not line:
            return -1, False
        if line == b"\r\n":
            return at + 2, True
        if not _FIELD_LINES.fullmatch(line):
            msg = "a trailer field is malformed"
            raise BadMessage(msg)
        name = line.partition(b":")[0].lower()
        if name in _FRAMING:
            msg = "a trailer field is about framing"
            raise BadMessage(msg)
        self._trailer_bytes += len(line)
        if name not in _NEVER_IN_TRAILERS:
            self.trailers += line
        return at + len(line), False

    @staticmethod
    def _line(data: bytes, at: int, limit: int) -> bytes:
        end = data.find(b"\n", at) + 1
        if (end or len(data)) - at > limit:
            msg = "a line of the chunked body is too long"
            raise BadMessage(msg)
        return data[at:end] if end else b""


Body = FixedBody | ChunkedBody | OpenBody


def chunk(payload: bytes) -> bytes:
    """One chunk."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


def last_chunk(trailers: bytes = b"") -> bytes:
    """The end of a chunked body."""
    return b"0\r\n" + trailers + b"\r\n"


CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


def own_answer(status: int, reason: str, *, close: bool, retry_after: int | None = None, body: bool = True) -> bytes:
    """An answer of the gateway itself, in the form of Neutron's errors. `body` False: asked by HEAD."""
    phrase = HTTPStatus(status).phrase
    error = {"type": "Gateway" + "".join(phrase.title().split()), "message": reason, "detail": ""}
    content = json.dumps({"NeutronError": error}).encode()
    lines = [
        f"HTTP/1.1 {status} {phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
    ]
    if retry_after is not None:
        lines.append(f"Retry-After: {retry_after}")
    if close:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode() + (content if body else b"")
