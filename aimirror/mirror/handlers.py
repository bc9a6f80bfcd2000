"""Custom handlers: found beside the configuration file, run before the general way."""

from __future__ import annotations

import importlib.util
from collections.abc import Awaitable, Callable, Iterable, Mapping
from json import dumps
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from attrs import evolve
from twisted.internet.interfaces import IConsumer
from twisted.logger import Logger
from zope.interface import implementer

from aimirror.at_hand import AtHand
from aimirror.handlers import URL, Fetched, Fields, Request, Response
from aimirror.http.headers import Headers
from aimirror.interfaces import ILibrary, Inquiry, IUpstreamResponse
from aimirror.mirror.ecosystem import GENERAL, ClientRequest, Desk, Ecosystem, Lookup, Untaken
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Route, Rule
from aimirror.server.answers import Answer
from aimirror.server.errors import error_answer
from aimirror.upstream.responses import collect

#: Bytes of a request's or an upstream's body that a handler may hold.
MOST_BODY = 64 << 20
#: Handlers that are ecosystems by now; the configuration knows which.
BUILT_IN = frozenset({"handlers.docker"})

ExecPath = Callable[[Request, str, Mapping[str, Any], Any], Awaitable[tuple[bool, Any]]]


def handler_of(rule: Rule) -> str:
    """The name under which a rule's handler is among the ecosystems; "" without a handler."""
    return f"{rule.handler} {rule.ecosystem}" if rule.handler else ""


class BadHandler(Exception):
    """A handler that can't be used; its text is one line: file, rule, what is wrong."""


def custom_handlers(
    rules: Iterable[Rule],
    source: str,
    folder: Path,
    document: Callable[[], Mapping[str, Any]],
    library: ILibrary,
    worlds: Mapping[str, Ecosystem],
) -> dict[str, Ecosystem]:
    """The handlers that rules name, each in front of the rule's ecosystem; raises BadHandler.

    ``source`` and ``folder`` are those of the configuration, ``document`` its plain values.
    """
    handlers: dict[str, Ecosystem] = {}
    for rule in rules:
        name = handler_of(rule)
        if not name or name in handlers:
            continue
        exec_path = load_handler(rule, source, folder)
        if exec_path is not None:
            world = worlds.get(rule.ecosystem, GENERAL)
            handlers[name] = Handled(rule.handler, exec_path, document(), library, world)
    return handlers


def load_handler(rule: Rule, source: str, folder: Path) -> ExecPath | None:
    """``exec_path`` of a rule's module; None for one that is built in; raises BadHandler."""
    where = f"{source}: rule {rule.name!r}: handler"
    file = folder / Path(*rule.handler.split(".")).with_suffix(".py")
    # Without a configuration file the folder is just where somebody happens to be.
    if not Path(source).is_file() or not file.is_file():
        if rule.handler in BUILT_IN:
            return None
        raise BadHandler(f"{where}: {rule.handler!r} is not there; allowed: {file}")
    spec = importlib.util.spec_from_file_location(f"aimirror_{rule.handler}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # A handler may use this name without importing it, as the documented example does.
    module.__dict__["Response"] = Response
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise BadHandler(f"{file}: can't be loaded: {error!r}") from None
    exec_path: ExecPath | None = getattr(module, "exec_path", None)
    if exec_path is None:
        raise BadHandler(f"{file}: has no exec_path; allowed: async def exec_path(…)")
    return exec_path


class Handled:
    """A custom handler in front of an ecosystem; its faults are a 500 and a log entry."""

    settled = False
    log = Logger()

    def __init__(
        self,
        name: str,
        exec_path: ExecPath,
        document: Mapping[str, Any],
        library: ILibrary,
        world: Ecosystem,
    ) -> None:
        self._name = name
        self._exec_path = exec_path
        self._document = document
        self._library = library
        self._world = world

    async def take(self, request: ClientRequest, route: Route, mirror: Desk) -> Answer | Untaken:
        """See Ecosystem."""
        client = HttpClient(self._library, route.rule)
        url = URL(request.mirror + request.target)
        body = _Body(request)
        asked = Request(request.method, url, Fields(request.headers), body.read)
        try:
            handled, response = await self._exec_path(asked, route.path, self._document, client)
            if handled:
                return _answer(response)
            if body.was_read:
                raise ValueError("it has read the body and did not answer")
        except Exception:
            self.log.failure(
                "handler {handler} failed on {path}", handler=self._name, path=route.path
            )
            return error_answer(500, "handler failed", self._name)
        return await self._world.take(request, route, mirror)

    async def known(self, route: Route, mirror: Desk) -> Digest | None:
        """See Ecosystem."""
        return await self._world.known(route, mirror)

    def finish(self, lookup: Lookup, answer: Answer) -> Answer:
        """See Ecosystem; the handler is to be asked about each request, equal ones included."""
        return evolve(self._world.finish(lookup, answer), memo_until=0.0)

    def refused(self, lookup: Lookup, response: IUpstreamResponse) -> Answer | None:
        """See Ecosystem."""
        return self._world.refused(lookup, response)


def _answer(response: Any) -> Answer:
    """The answer that a handler's response means; anything of Response's shape will do."""
    content = getattr(response, "content", None)
    content = response.body if content is None else content
    data = content.encode() if isinstance(content, str) else bytes(content)
    fields = [(str(n), str(v)) for n, v in (getattr(response, "headers", None) or {}).items()]
    headers = Headers(fields).without("content-length", "transfer-encoding")
    kind = getattr(response, "media_type", None)
    if "content-type" not in headers:
        headers = headers.with_("Content-Type", kind or "text/plain; charset=utf-8")
    return Answer(status=int(response.status_code), headers=headers, body=data)


class HttpClient:
    """Asks upstreams as the rule's requests go, with its proxy; no cache is between."""

    def __init__(self, library: ILibrary, rule: Rule) -> None:
        self._library = library
        self._rule = rule

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        content: str | bytes | None = None,
        json: object = None,
        follow_redirects: bool = True,
        **ignored: object,
    ) -> Fetched:
        """One exchange; raises UpstreamError, also for a body that is too long."""
        fields = Headers((headers or {}).items())
        if params:
            url += ("&" if "?" in url else "?") + urlencode(params)
        data = dumps(json).encode() if json is not None else _bytes(content)
        if json is not None and "content-type" not in fields:
            fields = fields.with_("Content-Type", "application/json")
        if "accept-encoding" not in fields:
            fields = fields.with_("Accept-Encoding", "identity")
        inquiry = Inquiry(
            rule=self._rule,
            url=url,
            headers=fields,
            method=method.upper(),
            body=AtHand(data) if data else None,
            redirects=None if follow_redirects else 0,
        )
        response = await self._library.ask(inquiry)
        received = await collect(response, MOST_BODY)
        return Fetched(response.status, Fields(response.headers), received, response.url)

    async def get(self, url: str, **options: Any) -> Fetched:
        """GET."""
        return await self.request("GET", url, **options)

    async def head(self, url: str, **options: Any) -> Fetched:
        """HEAD."""
        return await self.request("HEAD", url, **options)

    async def post(self, url: str, **options: Any) -> Fetched:
        """POST."""
        return await self.request("POST", url, **options)

    async def put(self, url: str, **options: Any) -> Fetched:
        """PUT."""
        return await self.request("PUT", url, **options)

    async def delete(self, url: str, **options: Any) -> Fetched:
        """DELETE."""
        return await self.request("DELETE", url, **options)


def _bytes(content: str | bytes | None) -> bytes:
    return content.encode() if isinstance(content, str) else content or b""


@implementer(IConsumer)
class _Body:
    """A request's body as bytes, read when it is asked for."""

    def __init__(self, request: ClientRequest) -> None:
        self._request = request
        self._data: bytearray | None = None

    @property
    def was_read(self) -> bool:
        """Whether there is nothing left to be passed on."""
        return self._data is not None and self._request.body is not None

    async def read(self) -> bytes:
        """All of it; BodyUnwanted when it is too long."""
        if self._data is None:
            self._data = bytearray()
            if self._request.body is not None:
                await self._request.body.startProducing(self)
        return bytes(self._data)

    def write(self, data: bytes) -> None:
        """See IConsumer."""
        assert self._data is not None
        self._data += data
        if len(self._data) > MOST_BODY and self._request.body is not None:
            self._request.body.discard()

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """See IConsumer; the body pushes by itself."""

    def unregisterProducer(self) -> None:
        """See IConsumer."""
