"""How commands reach the service: its API where it runs, else the cache folder itself."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import ssl
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from twisted.internet.defer import Deferred

from aimirror.admin.entries import Entries
from aimirror.admin.own_token import read_token
from aimirror.commands.common import Complaint, add_common
from aimirror.config import Config, check_dirs
from aimirror.server.access import is_local
from aimirror.server.listening import own_names
from aimirror.tap import configured

T = TypeVar("T")

#: Seconds of silence; a purge of millions of entries says nothing until it is done.
SILENCE = 600.0
#: The variable that names the service.
URL_VARIABLE = "AIMIRROR_URL"


class NotRunning(Exception):
    """Nothing listens where the service would."""


def add_link(parser: argparse.ArgumentParser) -> None:
    """The options that say which service is meant."""
    add_common(parser)
    parser.add_argument(
        "--url",
        help=f"the service, such as http://mirror:8081 (default: ${URL_VARIABLE}, else "
        "where the configuration says that it listens)",
    )


class Link:
    """The API of one service; methods raise NotRunning, and Complaint with what it said.

    ``certificate`` is the one that a service on this machine has: it is that or none, whatever
    name it is for, since we know the service by its address.
    """

    def __init__(
        self,
        url: str,
        token: str,
        certificate: Path | None = None,
        silence: float = SILENCE,
    ) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Complaint(f"--url: {url!r} is not like http://host:port")
        self._tls: ssl.SSLContext | None = None
        if parts.scheme == "https":
            self._tls = ssl.create_default_context() if certificate is None else _only(certificate)
        self._host, self._port = parts.hostname, parts.port
        self._token = token
        self._silence = silence
        self.url = f"{parts.scheme}://{parts.netloc}"

    def at(self, authority: str, silence: float) -> Link:
        """The API of another node of the same cluster."""
        return Link(f"{urlsplit(self.url).scheme}://{authority}", self._token, silence=silence)

    def get(self, name: str, **query: Any) -> Any:
        """What a call tells; None among the words leaves them out."""
        given = {key: value for key, value in query.items() if value not in (None, "")}
        return self._told(self._ask("GET", f"{name}?{urlencode(given)}" if given else name))

    def post(self, name: str, **words: Any) -> Any:
        """Have something done."""
        body = json.dumps({key: value for key, value in words.items() if value is not None})
        return self._told(self._ask("POST", name, body))

    def events(self) -> Iterator[dict[str, Any]]:
        """What the service shows once a second, until it ends."""
        reply = self._ask("GET", "events")
        if reply.status != 200:
            self._told(reply)
        known: dict[str, Any] = {}
        for line in reply:
            if line.startswith(b"data: "):
                known = {**known, **json.loads(line[6:])}
                yield known

    def _ask(self, method: str, name: str, body: str | None = None) -> http.client.HTTPResponse:
        headers = {"Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        connection = self._connection()
        try:
            connection.request(method, f"/aimirror/api/{name}", body, headers)
            return connection.getresponse()
        except ConnectionRefusedError:
            raise NotRunning(f"nothing listens on {self.url}") from None
        except (OSError, http.client.HTTPException) as error:
            raise Complaint(f"{self.url}: {error or type(error).__name__}") from None

    def _connection(self) -> http.client.HTTPConnection:
        where = (self._host, self._port)
        if self._tls is None:
            return http.client.HTTPConnection(*where, timeout=self._silence)
        return http.client.HTTPSConnection(*where, timeout=self._silence, context=self._tls)

    def _told(self, reply: http.client.HTTPResponse) -> Any:
        try:
            value = json.loads(reply.read())
        except (ValueError, OSError, http.client.HTTPException):
            raise Complaint(f"{self.url} does not answer like an aimirror") from None
        if reply.status >= 400:
            why = value.get("message") or value.get("detail") or value.get("error")
            raise Complaint(f"{self.url}: {why}")
        return value


def _only(certificate: Path) -> ssl.SSLContext:
    """What accepts one certificate alone, and the chain in its file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(certificate)
    except OSError as error:
        raise Complaint(f"{certificate}: {error.strerror or error}") from None
    return context


def linked(given: argparse.Namespace) -> tuple[Link, Config]:
    """The service that a command line means, and the configuration that says so."""
    config = configured(given.config, None, None, given.cache_dir)
    server = config.server
    url = given.url or os.environ.get(URL_VARIABLE, "")
    certificate = None
    if not url:
        certificate = server.tls.cert if server.tls else None
        own = config.admin.port
        host, port = (server.host, server.port) if own is None else (config.admin.host, own)
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
        host = f"[{host}]" if ":" in host and not host.startswith("[") else host
        url = f"{'https' if server.tls else 'http'}://{host}:{port}"
    token = config.admin.token
    if not token and is_here(url):
        token = read_token(config.cache.dir)
    return Link(url, token, certificate), config


def is_here(url: str) -> bool:
    """Whether a URL leads to this machine."""
    host = urlsplit(url if "://" in url else f"http://{url}").hostname or ""
    return host == "localhost" or is_local(host)


def own_path(url: str, service: tuple[Link, Config]) -> str:
    """The path of a URL that leads to this service, as clients have it; else the URL itself."""
    link, config = service
    server = config.server
    names = own_names(server.host, server.port, server.public_host) | {urlsplit(link.url).netloc}
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or parts.netloc.lower() not in names:
        return url
    return f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"


def online(given: argparse.Namespace) -> tuple[Link, Config]:
    """The service that a command line means, as ``linked``; it must run.  Raises Complaint."""
    link, config = linked(given)
    try:
        link.get("jobs")
    except NotRunning as error:
        raise Complaint(f"{error}; is the service running?") from None
    return link, config


def either(
    given: argparse.Namespace,
    running: Callable[[Link], T],
    alone: Callable[[Entries], Awaitable[T]],
) -> T:
    """What ``running`` tells by the service, or ``alone`` on the folder when none runs."""
    link, config = linked(given)
    try:
        return running(link)
    except NotRunning as error:
        if given.url:
            raise Complaint(str(error)) from None
    return on_folder(
        config, lambda store, clock: alone(Entries(store, clock, lambda: config.rules))
    )


def on_folder(config: Config, work: Callable[[Any, Any], Awaitable[T]]) -> T:
    """Open the cache folder, which no service may use, and let ``work(store, clock)`` happen."""
    from twisted.internet import reactor as real

    from aimirror.service.service import MirrorService

    reactor: Any = real
    check_dirs(config)
    store = MirrorService(config, reactor, failed=print, ready=print).store

    async def run() -> T:
        await store.open()
        try:
            return await work(store, reactor)
        finally:
            await store.close()

    return run_to_end(reactor, lambda: Deferred.fromCoroutine(run()))


def run_to_end(reactor: Any, work: Callable[[], Deferred[T]]) -> T:
    """Run the reactor, once in a process, until some work has ended; what came of it.

    Raises Complaint with what is wrong, and KeyboardInterrupt when a signal was quicker.
    """
    results: list[T] = []
    problems: list[str] = []
    interrupted: list[bool] = []

    def begin() -> None:
        working = work().addCallbacks(
            results.append, lambda f: problems.append(f.getErrorMessage())
        )
        working.addBoth(lambda _: None if interrupted else reactor.stop())

    def stopping() -> None:
        if not results and not problems:
            interrupted.append(True)

    reactor.callWhenRunning(begin)
    reactor.addSystemEventTrigger("before", "shutdown", stopping)
    reactor.run()
    if interrupted:
        raise KeyboardInterrupt
    if problems:
        raise Complaint(problems[0])
    return results[0]
