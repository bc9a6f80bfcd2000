"""Bodies that change on the way out: links led back to the mirror, text compressed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urljoin

from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from aimirror.bounded import LRU
from aimirror.http.conditions import Condition, evaluate
from aimirror.http.forwarding import accepts_gzip
from aimirror.http.headers import Headers
from aimirror.http.media import is_text
from aimirror.http.urls import base
from aimirror.interfaces import BodyFailed, IBody
from aimirror.mirror.changes import Change
from aimirror.mirror.ecosystem import ClientRequest
from aimirror.mirror.link_targets import Link
from aimirror.mirror.rewriting import Rewriter
from aimirror.mirror.rewritten import Changing
from aimirror.routing.choices import ContentRewrite
from aimirror.routing.mounts import Mount
from aimirror.routing.rules import Route, Rule
from aimirror.server.answers import Answer, Streamed, body_size

#: Bytes: larger bodies are changed while they are sent, smaller ones at once and kept.
AT_ONCE = 8 << 20
#: Bytes: longer bodies are not changed by the reactor itself, while others wait.
LITTLE = 64 << 10
#: Bytes of changed bodies that are kept.
KEPT_BYTES = 32 << 20
#: Bytes: smaller texts are not worth compressing.
WORTH_GZIP = 1 << 10
#: Bases by which clients come whose links are kept: every client can name another one.
MOST_MIRRORS = 64

ToThread = Callable[..., "Deferred[Any]"]

_CONDITIONS = frozenset({"if-none-match", "if-modified-since", "if-match", "if-unmodified-since"})


class Transforms:
    """Decides on changes and carries them out; keeps small changed bodies."""

    def __init__(self, mounts: Sequence[Mount], to_thread: ToThread) -> None:
        self._mounts = tuple(mounts)
        self._to_thread = to_thread
        self._kept: LRU[tuple[object, ...], bytes] = LRU(weigh=len, heaviest=KEPT_BYTES)
        #: Those who wait for a body that is being changed.
        self._making: dict[tuple[object, ...], list[Deferred[bytes]]] = {}
        self._links: LRU[str, tuple[Link, ...]] = LRU(MOST_MIRRORS)

    def change(self, route: Route, answer: Answer, request: Headers, mirror: str) -> Change | None:
        """What to do to an answer for this client, None for nothing.

        ``mirror`` is our base URL, "" for clients that have us for a proxy: their links stay.
        """
        if route.exact or answer.status != 200 or "content-encoding" in answer.headers:
            return None
        rule = route.rule
        kind = answer.headers.get("content-type", "") or ""
        rewrite: ContentRewrite | None = rule.content_rewrite
        made = Change()
        if mirror and rewrite is not None and rewrite.applies(kind):
            members = () if "html" in kind.lower() else rewrite.members
            made = Change(self.links_to(mirror), _root_relative(rule), members, mirror)
        size = _size(answer)
        if is_text(kind) and (size is None or size >= WORTH_GZIP):
            packed = accepts_gzip(request) and "range" not in request
            made = evolve(made, gzip=packed, varies=True)
        return made if made.of_bytes or made.varies else None

    async def carry_out(
        self, request: ClientRequest, answer: Answer, change: Change, blob: str, made_of: str = ""
    ) -> Answer:
        """The changed answer.

        ``blob`` names the bytes of a complete body, "" while they still arrive; ``made_of`` those
        of a body that is at hand, which the next one will ask for by that name.
        """
        headers = change.headers(answer.headers)
        body = answer.body
        if not change.of_bytes:
            return evolve(answer, headers=headers)
        if body is None or isinstance(body, Streamed) or _settled(request, headers):
            return evolve(answer, headers=headers, ranges=False)
        if blob and (isinstance(body, bytes) or (body.size or 0) <= AT_ONCE):
            data = await self._changed((blob, *change.name), change, body)
            return evolve(answer, headers=headers, body=data, ranges=not change.gzip)
        if isinstance(body, bytes):
            data = change.apply(body)
            if made_of:
                self._keep((made_of, *change.name), data)
            return evolve(answer, headers=headers, body=data, ranges=False)
        unsized = evolve(answer, headers=headers, ranges=False)
        if request.method == "HEAD":
            return evolve(unsized, body=None)
        return evolve(unsized, body=Changing(body, change, self._to_thread))

    def _changed(
        self, name: tuple[object, ...], change: Change, body: IBody | bytes
    ) -> Deferred[bytes]:
        """A whole body, changed once for all who want it so."""
        data = self._kept.get(name)
        if data is not None:
            return succeed(data)
        waiting = self._making.get(name)
        first = waiting is None
        whole = b""
        if waiting is None:
            whole = body if isinstance(body, bytes) else read_all(body)
            waiting = self._making[name] = []
        mine: Deferred[bytes] = Deferred(waiting.remove)
        waiting.append(mine)
        if first:
            self._to_thread(change.apply, whole).addBoth(self._made, name)
        return mine

    def _made(self, result: bytes | Failure, name: tuple[object, ...]) -> None:
        waiting = self._making.pop(name)
        if isinstance(result, bytes):
            self._keep(name, result)
        for each in waiting:
            each.callback(result)

    def reading(self, blob: str, change: Change, read: Callable[[], bytes]) -> Callable[[], bytes]:
        """What has the changed bytes of a blob, of which ``read`` has the unchanged ones.

        BodyFailed where they are not kept, and to change them anew would let others wait.
        """
        name = (blob, *change.name)

        def read_changed() -> bytes:
            data = self._kept.get(name)
            if data is None:
                whole = read()
                if len(whole) > LITTLE:
                    raise BodyFailed("what was made of it is not at hand any more")
                data = change.apply(whole)
                self._keep(name, data)
            return data

        return read_changed

    def _keep(self, name: tuple[object, ...], data: bytes) -> None:
        if len(data) <= KEPT_BYTES // 4:
            self._kept.put(name, data)

    def links_to(self, mirror: str) -> tuple[Link, ...]:
        """The links of all mounts, for clients that came by ``mirror``."""
        links = self._links.get(mirror)
        if links is None:
            links = tuple(Link(m.base, mirror + m.prefix) for m in self._mounts)
            self._links.put(mirror, links)
        return links

    def located(self, route: Route, headers: Headers, mirror: str) -> Headers:
        """The fields with a Location that leads to where the mirror serves it, if it does.

        A target without host is the upstream's; what stays where it is, is not spelled anew.
        """
        if not mirror:
            return headers
        rewriter = Rewriter(self.links_to(mirror))
        values = []
        for location in headers.get_all("location"):
            absolute = _resolved(route.urls[0], location)
            moved = rewriter.rewrite(absolute.encode("latin-1")).decode("latin-1")
            values.append(
                location if moved in (_resolved(mirror + route.path, location), absolute) else moved
            )
        return headers.with_("Location", *values)


def _resolved(base: str, reference: str) -> str:
    """The URL that a reference means, or itself if it is none."""
    try:
        return urljoin(base, reference)
    except ValueError:
        return reference


def _size(answer: Answer) -> int | None:
    """Bytes of the unchanged body; for a HEAD as far as its fields tell."""
    if answer.body is not None:
        return body_size(answer)
    length = answer.headers.get("content-length")
    return int(length) if length and length.isdecimal() else None


def _settled(request: ClientRequest, headers: Headers) -> bool:
    """Whether the request's conditions are answered without a body (304 or 412)."""
    if not request.headers.has_any(_CONDITIONS):
        return False
    validators = headers.get("etag"), headers.get("last-modified")
    return evaluate(request.method, request.headers, *validators) is not Condition.PROCEED


def read_all(body: IBody) -> bytes:
    """All bytes of a complete body; BodyFailed when they are not there."""
    reader = body.reader(0, None)
    try:
        size = body.size or 0
        data = os.pread(reader.fd, size, 0) if size else b""
        if len(data) != size:
            raise BodyFailed("the stored file is too short")
        return data
    finally:
        reader.close()


def _root_relative(rule: Rule) -> tuple[tuple[str, str], ...]:
    """Links such as ``/whl/x`` of an upstream that is mounted elsewhere than at its own path."""
    if not rule.path_prefix or not rule.strip_prefix or not rule.upstreams:
        return ()
    path = base(rule.upstreams[0]).partition("://")[2].partition("/")[2]
    named = rule.content_rewrite is not None and rule.content_rewrite.members
    if not path and rule.ecosystem != "pypi" and not named:
        return ()  # JSON has many strings that only look like paths
    return ((f"/{path}" if path else "", rule.path_prefix),)
