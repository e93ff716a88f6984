"""A way between two services, in which a scenario can stand.

Whatever the migration says to Neutron and to Alcor passes through here unchanged, until a scenario says otherwise:
one request waits before it arrives, or after it was carried out; an answer is lost; requests are refused; nothing
gets through. So what elsewhere takes luck and load happens here at exactly the moment that is meant.
"""

import asyncio
import re
import threading

import aiohttp
from aiohttp import web

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "date", "server"}
PATIENCE = 180.0  # seconds; only what never comes takes so long


class Stop:
    """The next request of a kind waits: where it comes from, or, when `answered`, with its answer ready."""

    def __init__(self, method, path, *, answered):
        self._kind = (method, re.compile(path))
        self._answered = answered
        self._arrived, self._may_go = threading.Event(), threading.Event()
        self.request = ""
        """Path and query of the request that waits."""

    def arrived(self):
        """Return when it is there; raises TimeoutError when none comes."""
        if not self._arrived.wait(PATIENCE):
            msg = f"no request came by: {self._kind}"
            raise TimeoutError(msg)
        return self

    def let_go(self):
        self._may_go.set()

    def takes(self, request, _body):
        method, path = self._kind
        taken = not self._arrived.is_set() and request.method == method and path.search(request.path_qs) is not None
        if taken:
            self.request = request.path_qs
            if not self._answered:
                self._arrived.set()
        return taken

    async def meet(self, pass_on):
        answer = None
        if self._answered:
            answer = await pass_on()
            self._arrived.set()
        while not self._may_go.is_set():
            await asyncio.sleep(0.01)
        return answer or await pass_on()


class Cut:
    """The next request of a kind is carried out, and its answer never arrives."""

    def __init__(self, method, path):
        self._kind = (method, re.compile(path))
        self.done = False

    def takes(self, request, _body):
        method, path = self._kind
        taken = not self.done and request.method == method and path.search(request.path_qs) is not None
        self.done = self.done or taken
        return taken

    async def meet(self, pass_on):
        await pass_on()


class Refuse:
    """Requests whose body contains a text are answered 400, until `over`."""

    def __init__(self, text):
        self._text = text.encode()
        self.over = False

    def takes(self, _request, body):
        return not self.over and self._text in body

    async def meet(self, _pass_on):
        return web.json_response({"error": "it has a defect"}, status=400)


class Way:
    """Leads to `to` from an address of its own; `with` opens and closes it."""

    def __init__(self, to):
        self._to = to
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"way to {to}", daemon=True)
        self._rules = []
        self.url = ""
        self.closed = False
        """While it is, nothing gets through in either direction."""

    def __enter__(self):
        self._thread.start()
        self._do(self._open())
        return self

    def __exit__(self, *_):
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # -- what a scenario says ------------------------------------------------------------------------------------

    def stop(self, method, path, *, answered=False):
        return self._add(Stop(method, path, answered=answered))

    def cut(self, method, path):
        return self._add(Cut(method, path))

    def refuse(self, text):
        return self._add(Refuse(text))

    def clear(self):
        """Let everything pass again."""
        self.closed = False
        for rule in self._rules:
            if isinstance(rule, Stop):
                rule.let_go()
        self._rules = []

    def _add(self, rule):
        self._rules.append(rule)
        return rule

    # -- within --------------------------------------------------------------------------------------------------

    def _do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    async def _open(self):
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            skip_auto_headers={"User-Agent", "Accept", "Accept-Encoding"},
        )
        server = web.Server(self._handle, access_log=None, keepalive_timeout=3600)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0]
        self.url = f"http://{host}:{port}"

    async def _close(self):
        await self._runner.cleanup()
        await self._session.close()

    async def _handle(self, request):
        body = await request.read()
        rule = next((r for r in self._rules if r.takes(request, body)), None)

        async def pass_on():
            return await self._ask(request, body)

        try:
            answer = None
            if not self.closed:
                answer = await (rule.meet(pass_on) if rule else pass_on())
        except aiohttp.ClientError:  # the server itself is away: so is its answer
            answer = None
        if answer is None or self.closed:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        return answer

    async def _ask(self, request, body):
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        async with self._session.request(
            request.method, self._to + request.raw_path, headers=headers, data=body or None, allow_redirects=False
        ) as answer:
            told = [(name, value) for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP]
            return web.Response(status=answer.status, headers=told, body=await answer.read())
