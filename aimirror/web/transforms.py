"""Bodies that change on the way out: links led back to the mirror, text compressed."""

from __future__ import annotations

import gzip
import os
import zlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from aimirror.core.forwarding import accepts_gzip
from aimirror.core.headers import Headers
from aimirror.core.media import is_text
from aimirror.core.rewriting import Link, Rewriter, rewritten_etag
from aimirror.core.rules import ContentRewrite, Mount, Route, Rule
from aimirror.core.urls import base
from aimirror.interfaces import BodyFailed, IBody
from aimirror.web.answers import Answer, body_size
from aimirror.web.sendfile import ClientGone

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from aimirror.web.request import MirrorRequest

#: Bytes: larger bodies are changed while they are sent, smaller ones at once and kept.
AT_ONCE = 8 << 20
#: Bytes of changed bodies that are kept.
KEPT_BYTES = 32 << 20
#: Bytes: smaller texts are not worth compressing.
WORTH_GZIP = 1 << 10
#: A level that keeps up with a fast network.
GZIP_LEVEL = 4
#: Bytes read from the file at a time.
STEP = 256 << 10

ToThread = Callable[..., "Deferred[Any]"]


@frozen
class Change:
    """What is done to one body on its way to one client."""

    links: tuple[Link, ...] = ()
    root_relative: tuple[tuple[str, str], ...] = ()
    #: The mirror's base that the links lead to; "" when there are none.
    mark: str = ""
    gzip: bool = False

    def apply(self, data: bytes) -> bytes:
        """The whole body, changed."""
        if self.mark:
            data = Rewriter(self.links, self.root_relative).rewrite(data)
        return gzip.compress(data, GZIP_LEVEL, mtime=0) if self.gzip else data

    def headers(self, headers: Headers, compressible: bool) -> Headers:
        """The fields of the changed body."""
        if self.mark:
            etag = rewritten_etag(headers.get("etag"), self.mark)
            headers = headers.without("content-md5", "digest", "repr-digest", "content-digest")
            headers = headers.with_("ETag", *([etag] if etag else []))
        if compressible:
            vary = headers.joined("vary")
            if "accept-encoding" not in headers.tokens("vary"):
                headers = headers.with_("Vary", f"{vary}, Accept-Encoding" if vary else _VARY)
        if self.gzip:
            etag = headers.get("etag")
            if etag and not etag.startswith("W/"):
                headers = headers.with_("ETag", "W/" + etag)
            headers = headers.with_("Content-Encoding", "gzip")
        return headers.without("content-length") if self.mark or self.gzip else headers


_VARY = "Accept-Encoding"


class Transforms:
    """Decides on changes and carries them out; keeps small changed bodies."""

    def __init__(self, mounts: Sequence[Mount], to_thread: ToThread) -> None:
        self._mounts = tuple(mounts)
        self._to_thread = to_thread
        self._kept: OrderedDict[tuple[str, Change], bytes] = OrderedDict()
        self._held = 0
        self._links: dict[str, tuple[Link, ...]] = {}

    def change(self, found: Route, answer: Answer, request: Headers, mirror: str) -> Change | None:
        """What to do to an answer for this client, None for nothing.

        ``mirror`` is our base URL, "" for clients that have us for a proxy: their links stay.
        """
        if found.exact or answer.status != 200 or "content-encoding" in answer.headers:
            return None
        rule = found.rule
        kind = answer.headers.get("content-type", "") or ""
        rewrite: ContentRewrite | None = rule.content_rewrite
        made = Change()
        if mirror and rewrite is not None and rewrite.applies(kind):
            made = Change(self.links_to(mirror), _root_relative(rule), mirror)
        size = body_size(answer)
        worth = size is None or size >= WORTH_GZIP
        if is_text(kind) and accepts_gzip(request) and worth and "range" not in request:
            made = evolve(made, gzip=True)
        return made if made.mark or made.gzip else None

    async def carry_out(
        self, request: MirrorRequest, answer: Answer, change: Change, blob: str
    ) -> Answer | None:
        """The changed answer; or None after it was streamed to the client here.

        ``blob`` names the bytes of a complete body, "" while they still arrive.
        """
        headers = change.headers(answer.headers, is_text(answer.headers.get("content-type") or ""))
        body = answer.body
        if isinstance(body, bytes):
            return evolve(answer, headers=headers, body=change.apply(body), ranges=False)
        assert body is not None
        if blob and body.size is not None and body.size <= AT_ONCE:
            data = await self._changed(blob, change, body)
            return evolve(answer, headers=headers, body=data, ranges=not change.gzip)
        unsized = evolve(answer, headers=headers, ranges=False, memo_until=0.0)
        if request.head.method == "HEAD":
            return evolve(unsized, body=None)
        await _stream(request, unsized, body, change)
        return None

    async def _changed(self, blob: str, change: Change, body: IBody) -> bytes:
        name = (blob, change)
        data = self._kept.get(name)
        if data is not None:
            self._kept.move_to_end(name)
            return data
        data = bytes(await self._to_thread(change.apply, read_all(body)))
        if name not in self._kept and len(data) <= KEPT_BYTES // 4:
            self._kept[name] = data
            self._held += len(data)
            while self._held > KEPT_BYTES:
                self._held -= len(self._kept.popitem(last=False)[1])
        return data

    def links_to(self, mirror: str) -> tuple[Link, ...]:
        """The links of all mounts, for clients that came by ``mirror``."""
        found = self._links.get(mirror)
        if found is None:
            if len(self._links) > 64:
                self._links.clear()
            found = tuple(Link(m.base, mirror + m.prefix) for m in self._mounts)
            self._links[mirror] = found
        return found


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
    if not path and rule.ecosystem != "pypi":
        return ()  # JSON has many strings that only look like paths
    return ((f"/{path}" if path else "", rule.path_prefix),)


async def _stream(request: MirrorRequest, answer: Answer, body: IBody, change: Change) -> None:
    """Change a body piece by piece while it arrives; memory holds one piece."""
    rewriter = Rewriter(change.links, change.root_relative) if change.mark else None
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 31) if change.gzip else None
    reader = body.reader(0, None)
    try:
        while not reader.ready() and not reader.ended():
            await reader.wait()
        request.start(answer.status, answer.headers, None)
        while not reader.ended():
            count = min(reader.ready(), STEP)
            if not count:
                if packer is not None:
                    request.write(packer.flush(zlib.Z_SYNC_FLUSH))
                await reader.wait()
                continue
            data = os.pread(reader.fd, count, reader.position)
            reader.advance(len(data))
            if rewriter is not None:
                data = rewriter.feed(data)
            await _write(request, packer.compress(data) if packer is not None else data)
        rest = rewriter.end() if rewriter is not None else b""
        if packer is not None:
            rest = packer.compress(rest) + packer.flush()
        await _write(request, rest)
        request.finish()
    except (BodyFailed, OSError):
        if not request.startedWriting:
            raise
        request.abort()
    finally:
        reader.close()


async def _write(request: MirrorRequest, data: bytes) -> None:
    if request.gone:
        raise ClientGone
    if not data:
        return
    request.write(data)
    room = request.channel.room()
    if room is not None:
        await room
