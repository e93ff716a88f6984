"""The message grammar: what is refused, what is forwarded, and how it compares with llhttp."""

import itertools

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alcor_migrate.gateway.http1 import (
    BadMessage,
    ChunkedBody,
    FixedBody,
    chunk,
    find_head,
    last_chunk,
    own_answer,
    parse_request_head,
    parse_response_head,
    plain_response_head,
    repeated_head,
    request_id_of,
)


def head(*lines, line=b"POST /v2.0/ports HTTP/1.1", host=True):
    return b"\r\n".join([line, *([b"Host: api"] if host else []), *lines]) + b"\r\n\r\n"


REFUSED = {
    "both lengths": head(b"Content-Length: 1", b"Transfer-Encoding: chunked"),
    "two lengths": head(b"Content-Length: 1", b"Content-Length: 2"),
    "two equal lengths": head(b"Content-Length: 1", b"Content-Length: 1"),
    "a list of lengths": head(b"Content-Length: 1, 1"),
    "signed length": head(b"Content-Length: +1"),
    "negative length": head(b"Content-Length: -1"),
    "hexadecimal length": head(b"Content-Length: 0x10"),
    "empty length": head(b"Content-Length: "),
    "endless length": head(b"Content-Length: " + b"9" * 30),
    "unknown coding": head(b"Transfer-Encoding: gzip"),
    "two codings": head(b"Transfer-Encoding: gzip, chunked"),
    "coding twice": head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    "disguised coding": head(b"Transfer-Encoding: \x0bchunked"),
    "quoted coding": head(b'Transfer-Encoding: "chunked"'),
    "coding in HTTP/1.0": head(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0"),
    "underscored length": head(b"Content_Length: 5"),
    "underscored coding": head(b"Transfer_Encoding: chunked"),
    "space before colon": head(b"Content-Length : 1"),
    "tab before colon": head(b"Content-Length\t: 1"),
    "folded line": head(b"X: a", b" b"),
    "first line folded": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "no colon": head(b"nonsense"),
    "no name": head(b": value"),
    "null in value": head(b"X: a\x00b"),
    "bare CR in value": head(b"X: a\rb"),
    "space in name": head(b"X Y: a"),
    "no host": head(host=False),
    "two hosts": head(b"Host: other"),
    "two hosts in HTTP/1.0": head(b"Host: other", line=b"GET / HTTP/1.0"),
    "host with a space": head(b"Host: a b", host=False),
    "host with a path": head(b"Host: a/b", host=False),
    "absolute target, two hosts": head(b"Host: b", line=b"GET http://a/ HTTP/1.1"),
    "HTTP/2.0": head(line=b"GET / HTTP/2.0"),
    "HTTP/1.2": head(line=b"GET / HTTP/1.2"),
    "lower case version": head(line=b"GET / http/1.1"),
    "no version": head(line=b"GET /"),
    "two spaces": head(line=b"GET  / HTTP/1.1"),
    "space in target": head(line=b"GET /a b HTTP/1.1"),
    "raw bytes in target": head(line="GET /ä HTTP/1.1".encode()),
    "connect": head(line=b"CONNECT a:443 HTTP/1.1"),
    "relative target": head(line=b"GET v2.0/ports HTTP/1.1"),
    "star for get": head(line=b"GET * HTTP/1.1"),
    "unknown expectation": head(b"Expect: cake"),
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_ambiguous_heads_are_refused(data):
    with pytest.raises(BadMessage):
        parse_request_head(data)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\nHost: a\n\n", b"GET / HTTP/1.1\r\nHost: a\n\r"])
def test_a_bare_line_feed_is_refused_without_waiting_for_more(data):
    with pytest.raises(BadMessage):
        find_head(data, 0)


def test_a_bare_line_feed_before_the_end_is_refused():
    data = b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"
    assert find_head(data, 0) == len(data)
    with pytest.raises(BadMessage):
        parse_request_head(data)


def test_what_is_forwarded():
    request = parse_request_head(
        head(
            b"Connection: keep-alive, X-Hop",
            b"X-Hop: 1",
            b"Keep-Alive: 5",
            b"Upgrade: websocket",
            b"TE: trailers",
            b"Expect: 100-continue",
            b"Content-Length: 5",
            b"x-auth-TOKEN: tok",
            b"X-Empty:",
            b"X-Twice: 1",
            b"X-Twice: 2",
            line=b"PUT /v2.0/ports/%2e%2E//x?a=b&a=%zz HTTP/1.1",
        )
    )
    assert request.fields.forward == (
        b"Host: api\r\nx-auth-TOKEN: tok\r\nX-Empty:\r\nX-Twice: 1\r\nX-Twice: 2\r\nX-Forwarded-Host: api\r\n"
    )
    assert (request.method, request.target) == (b"PUT", b"/v2.0/ports/%2e%2E//x?a=b&a=%zz")
    assert (request.fields.length, request.fields.token, request.fields.expects_continue) == (5, "tok", True)
    assert request.keep_alive


ACCEPTED = [
    head(),
    head(line=b"GET / HTTP/1.0"),
    head(line=b"GET / HTTP/1.0", host=False),
    head(line=b"GET http://api/ HTTP/1.1"),
    head(line=b"GET http://other/ HTTP/1.1"),
    head(b"Content-Length: 1"),
    head(b"Content-Length: 2"),
    head(b"Transfer-Encoding: chunked"),
    head(b"X-Auth-Token: a"),
    head(b"X-Auth-Token: b", b"Connection: close"),
    head(b"X-Forwarded-For: 10.0.0.1"),
    head(b"X-Long: " + b"x" * 4000),
]


def known(request):
    of_fields = {name: getattr(request.fields, name) for name in dir(request.fields) if name[0] != "_"}
    return request.method, request.target, request.minor, of_fields


@pytest.mark.parametrize("before", ACCEPTED)
def test_what_a_connection_has_said_before_changes_nothing(before):
    earlier = parse_request_head(before).fields
    for data in ACCEPTED:
        again = repeated_head(data, earlier)
        assert again is None or known(again) == known(parse_request_head(data))
    for data in REFUSED.values():
        try:
            again = repeated_head(data, earlier)
        except BadMessage:
            continue
        assert again is None


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1", b"DELETE /v2.0/ports/1?a HTTP/1.1", b"GET / HTTP/1.0"])
def test_what_a_connection_repeats_is_recognised(line):
    earlier = parse_request_head(ACCEPTED[0]).fields
    data = head(line=line)
    again = repeated_head(data, earlier)
    assert again is not None
    assert known(again) == known(parse_request_head(data))
    for cut in range(len(data)):
        assert repeated_head(data[:cut], earlier) is None
    assert repeated_head(data + data, earlier) is None
    assert repeated_head(data + b"\r\n", earlier) is None


def test_what_a_proxy_before_us_has_said_is_kept():
    request = parse_request_head(
        head(b"X-Forwarded-For: 10.0.0.1", b"X-Forwarded-Proto: https", b"X-Forwarded-Host: cloud.example")
    )
    assert request.fields.forward == b"Host: api\r\nX-Forwarded-Host: cloud.example\r\n"
    assert (request.fields.forwarded_for, request.fields.forwarded_proto) == (b"10.0.0.1", b"https")


@pytest.mark.parametrize(
    ("line", "fields", "keep_alive"),
    [
        (b"GET / HTTP/1.1", [], True),
        (b"GET / HTTP/1.1", [b"Connection: Close"], False),
        (b"GET / HTTP/1.1", [b"Connection: x", b"Connection: y, close"], False),
        (b"GET / HTTP/1.0", [], False),
        (b"GET / HTTP/1.0", [b"Connection: Keep-Alive"], True),
    ],
)
def test_keep_alive(line, fields, keep_alive):
    assert parse_request_head(head(*fields, line=line)).keep_alive is keep_alive


def test_an_absolute_target_names_the_host():
    request = parse_request_head(head(line=b"GET http://real:9696/v2.0/ports?x=1 HTTP/1.1"))
    assert request.target == b"/v2.0/ports?x=1"
    assert request.fields.forward == b"Host: real:9696\r\nX-Forwarded-Host: real:9696\r\n"
    assert parse_request_head(head(line=b"GET http://real HTTP/1.1")).target == b"/"


@pytest.mark.parametrize(
    ("given", "known"),
    [
        (b"req-11111111-2222-3333-4444-555555555555", "req-11111111-2222-3333-4444-555555555555"),
        (b"req-1", ""),
        (b"11111111-2222-3333-4444-555555555555", ""),
    ],
)
def test_only_a_global_request_id_of_the_right_form_counts(given, known):
    fields = parse_request_head(head(b"X-Openstack-Request-Id: " + given)).fields
    assert (fields.request_id, fields.has_request_id) == (known, True)


def response(*lines, line=b"HTTP/1.1 200 OK"):
    return b"\r\n".join([line, *lines]) + b"\r\n\r\n"


def test_answers_are_forwarded_as_they_are_but_for_the_hop():
    plain = parse_response_head(response(b"content-length: 5", b"X-A:  b "))
    assert (plain.length, plain.forward, plain.line) == (5, b"content-length: 5\r\nX-A:  b \r\n", b"200 OK")
    hops = parse_response_head(
        response(b"Transfer-Encoding: Chunked", b"Connection: close, X-Hop", b"X-Hop: 1", b"X-A: b")
    )
    assert (hops.length, hops.chunked, hops.keep_alive, hops.forward) == (None, True, False, b"X-A: b\r\n")


def test_an_answer_with_both_framings_is_chunked_and_its_connection_not_reused():
    both = parse_response_head(response(b"Content-Length: 5", b"Transfer-Encoding: chunked"))
    assert (both.chunked, both.keep_alive, both.forward) == (True, False, b"")


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified", b"100 Continue"])
def test_answers_that_never_have_a_body(status):
    assert parse_response_head(response(b"Content-Length: 5", line=b"HTTP/1.1 " + status)).length == 0
    assert parse_response_head(response(b"Content-Length: 5"), to_head=True).length == 0


def test_an_answer_of_http_1_0_ends_with_its_connection():
    assert not parse_response_head(response(line=b"HTTP/1.0 200 OK")).keep_alive
    assert parse_response_head(response(line=b"HTTP/1.0 200 OK")).length is None
    assert parse_response_head(response(b"Connection: keep-alive", line=b"HTTP/1.0 200")).keep_alive


@pytest.mark.parametrize(
    "data",
    [
        response(b"Content-Length: 1", b"Content-Length: 2"),
        response(b"Content-Length: x"),
        response(b"Transfer-Encoding: gzip"),
        response(b"X : y"),
        response(line=b"HTTP/1.1 20 OK"),
        response(line=b"HTTP/2 200 OK"),
        response(line=b"nonsense"),
    ],
)
def test_answers_that_nobody_can_delimit_are_refused(data):
    with pytest.raises(BadMessage):
        parse_response_head(data)


def test_equal_lengths_of_an_answer_become_one():
    same = parse_response_head(response(b"Content-Length: 5", b"Content-Length: 5"))
    assert (same.length, same.forward) == (5, b"Content-Length: 5\r\n")


def test_the_request_id_of_an_answer():
    assert request_id_of(parse_response_head(response(b"A: b", b"x-openstack-request-id: req-1 "))) == "req-1"
    assert request_id_of(parse_response_head(response(b"X-openstack-request-id: req-2"))) == "req-2"
    assert request_id_of(parse_response_head(response())) == ""


@pytest.mark.parametrize(
    "body",
    [
        b"x\r\n",
        b"-1\r\n",
        b"0x1\r\na\r\n0\r\n\r\n",
        b" 1\r\na\r\n0\r\n\r\n",
        b"1 \r\na\r\n0\r\n\r\n",
        b"1\na\r\n0\r\n\r\n",
        b"1\r\nab\r\n0\r\n\r\n",
        b"1\r\na\n0\r\n\r\n",
        b"\r\n",
        b"1;\r\na\r\n0\r\n\r\n",
        b"1;a=\x00\r\na\r\n0\r\n\r\n",
        b"00000000000000001\r\na\r\n0\r\n\r\n",
        b"0\r\nX : a\r\n\r\n",
        b"0\r\n folded\r\n\r\n",
        b"0\r\nX: a\n\r\n",
        b"0\r\nContent-Length: 1\r\n\r\n",
        b"0\r\ntransfer-encoding: chunked\r\n\r\n",
        b"1;" + b"a" * 300,
        b"0\r\n" + b"X: " + b"a" * 9000,
    ],
)
def test_bad_chunking_is_refused(body):
    with pytest.raises(BadMessage):
        ChunkedBody().feed(body)


def test_trailers_that_would_matter_are_dropped():
    body = ChunkedBody()
    payload, rest, done = body.feed(b"1\r\na\r\n0\r\nX-Sum: 1\r\nHost: b\r\nConnection: close\r\n\r\nnext")
    assert (payload, rest, done, body.trailers) == (b"a", b"next", True, b"X-Sum: 1\r\n")


@given(
    parts=st.lists(st.binary(min_size=1, max_size=40), max_size=8),
    rest=st.binary(max_size=20),
    cuts=st.lists(st.integers(0, 600), max_size=10),
)
def test_any_split_of_a_chunked_body_gives_the_same(parts, rest, cuts):
    stream = b"".join(map(chunk, parts)) + last_chunk(b"X-T: 1\r\n") + rest
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    body, payload, after, done = ChunkedBody(), b"", b"", False
    for start, end in itertools.pairwise(edges):
        if done:
            after += stream[start:end]
            continue
        piece, after, done = body.feed(stream[start:end])
        payload += piece
    assert done
    assert (payload, after, body.trailers) == (b"".join(parts), rest, b"X-T: 1\r\n")


@given(st.binary(max_size=30), st.integers(1, 20))
def test_a_fixed_body_takes_its_length_and_no_more(data, length):
    payload, rest, done = FixedBody(length).feed(data)
    assert payload + rest == data
    assert len(payload) == min(len(data), length)
    assert done == (len(data) >= length)


class Reference:
    """What llhttp makes of the same bytes."""

    def __init__(self):
        self.fields = []
        self.body = b""
        self.complete = False
        self.head_complete = False

    def on_header(self, name, value):
        self.fields.append((name, value))

    def on_headers_complete(self):
        self.head_complete = True

    def on_body(self, body):
        self.body += body

    def on_message_complete(self):
        self.complete = True


_pieces = st.sampled_from(
    [
        b"GET / HTTP/1.1\r\n",
        b"POST /a HTTP/1.1\r\n",
        b"POST /a HTTP/1.0\r\n",
        b"Host: a\r\n",
        b"Host: a\n",
        b"Content-Length: 3\r\n",
        b"Content-Length:3 \r\n",
        b"Content-Length: 4\r\n",
        b"content-length : 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding:\tchunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"X: y\r\n",
        b"X: \xff\r\n",
        b" folded\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"3\r\nabc\r\n",
        b"3;x=y\r\nabc\r\n",
        b"0\r\n\r\n",
        b"0\r\nX: t\r\n\r\n",
        b"abc",
        b"\x00",
        b": ",
    ]
)


@settings(max_examples=400)
@given(st.lists(_pieces, min_size=2, max_size=8).map(b"".join) | st.binary(max_size=60))
def test_what_we_accept_llhttp_delimits_in_the_same_way(tail):
    """Whatever passes our grammar means the same to another strict parser: nothing to smuggle between the two."""
    data = b"POST / HTTP/1.1\r\nHost: a\r\n" + tail
    try:
        end = find_head(data, 0)
        if not end:
            return
        request = parse_request_head(data[:end])
        payload, complete = b"", not request.has_body
        if request.has_body:
            body = ChunkedBody() if request.fields.chunked else FixedBody(request.fields.length)
            payload, rest, complete = body.feed(data[end:])
            if complete:
                data = data[: len(data) - len(rest)]
        else:
            data = data[:end]
    except BadMessage:
        return
    reference = Reference()
    httptools.HttpRequestParser(reference).feed_data(data)
    assert reference.head_complete
    assert reference.complete == complete
    assert reference.body == payload


def test_own_answers_look_like_neutrons_errors():
    data = own_answer(503, "not now", close=True, retry_after=2)
    top, _, body = data.partition(b"\r\n\r\n")
    assert top.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"Retry-After: 2" in top
    assert b"Connection: close" in top
    assert body == b'{"NeutronError": {"type": "GatewayServiceUnavailable", "message": "not now", "detail": ""}}'
    assert own_answer(503, "not now", close=False, body=False).endswith(b"\r\n\r\n")


@given(
    st.lists(
        st.sampled_from(
            [
                b"Content-Length: 5",
                b"content-length:7 ",
                b"Content-Length: x",
                b"Connection: close",
                b"Transfer-Encoding: chunked",
                b"Content-Type: text/plain",
                b"X : y",
                b"Upgrade: x",
                b"Date: now",
                b"Contents: c",
            ]
        ),
        max_size=5,
    ),
    st.sampled_from([b"200 OK", b"204 No Content", b"304 x", b"299", b"101 x", b"500 Oh", b"20 x"]),
    st.sampled_from([b"HTTP/1.1 ", b"HTTP/1.0 "]),
)
def test_the_quick_look_at_an_answer_sees_what_the_thorough_one_sees(fields, line, version):
    def told(head):
        return head.status, head.line, head.forward, head.length, head.chunked, head.keep_alive

    data = response(*fields, line=version + line)
    quick = plain_response_head(data + b"body!")
    if quick is not None:
        head, end = quick
        assert (told(head), end) == (told(parse_response_head(data)), len(data))
        assert head.whole == (data + b"body!" if head.length == len(b"body!") else b"")
