"""Whether a store can be trusted with what a tier needs: looked at before it is used."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable

from attrs import frozen
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from aimirror.http.egress import Outgoing
from aimirror.http.headers import Headers
from aimirror.http.ranges import ContentRange, parse_content_range
from aimirror.interfaces import IUpstream, UpstreamError
from aimirror.tier.s3 import Bucket, StoreError
from aimirror.tier.sigv4 import Secret, signed
from aimirror.upstream.responses import collect

#: Bytes of the object that is written, and where in it a range lies.
SIZE = 100_000
SPAN = (1000, 3000)
#: Seconds until what was written has left us, and until the store has seen a connection end.
LAG = 0.3
#: What is at a name before an upload to it breaks off.
_OLD = b"as it was"


@frozen
class Finding:
    """One property: whether the store has it, and whether it can't be used without."""

    what: str
    holds: bool
    needed: bool
    detail: str = ""


@frozen
class Probe:
    """Looks at the store behind a bucket; ``upstream`` and ``region`` are the bucket's own.

    ``wait`` fires after so many seconds.
    """

    bucket: Bucket
    upstream: IUpstream
    region: str
    wait: Callable[[float], Deferred[None]]

    async def run(self) -> tuple[Finding, ...]:
        """All that was found out; raises StoreError when it can't be asked at all.

        What is written meanwhile lies below ``probe/`` and is removed.
        """
        name = f"probe/{secrets.token_hex(8)}"
        data = hashlib.shake_128(name.encode()).digest(SIZE)
        await self.bucket.put(name, data)
        try:
            findings = [
                await self._whole(name, data),
                await self._part(name, data),
                await self._strangers(name),
                await self._digests(name, data),
                await self._broken(name, data),
                await self._listing(name),
            ]
        finally:
            await self.bucket.delete(name)
        gone = await self.bucket.get(name, SIZE) is None
        return (*findings, Finding("deletes objects", gone, needed=True))

    async def _whole(self, name: str, data: bytes) -> Finding:
        came = await self.bucket.get(name, 2 * SIZE)
        detail = "" if came == data else f"{len(came or b'')} bytes came, {SIZE} were written"
        return Finding("gives back what was written", came == data, True, detail)

    async def _part(self, name: str, data: bytes) -> Finding:
        what, (start, stop) = "answers a range with 206", SPAN
        response = await self.bucket.open(name, SPAN)
        if response is None:
            return Finding(what, False, True, "404")
        body = await collect(response, SIZE)
        said = parse_content_range(response.headers.get("content-range", "") or "")
        right = isinstance(said, ContentRange) and (said.start, said.stop) == SPAN
        good = response.status == 206 and right and body == data[start:stop]
        detail = "" if good else f"status {response.status} with {len(body)} bytes"
        return Finding(what, good, True, detail)

    async def _strangers(self, name: str) -> Finding:
        url = self.bucket.place.url(name)
        stranger = Secret("AKIDOFNOBODY", secrets.token_hex(20))
        empty = hashlib.sha256(b"").hexdigest()
        signed_by = signed(stranger, self.region, "GET", url, Headers(), empty)
        statuses = [await self._status(url, headers) for headers in (signed_by, Headers())]
        good = all(status in (400, 401, 403) for status in statuses)
        detail = "" if good else f"to a wrong key {statuses[0]}, to none {statuses[1]}"
        return Finding("refuses wrong and missing credentials", good, True, detail)

    async def _status(self, url: str, headers: Headers) -> int:
        place = self.bucket.place
        outgoing = Outgoing("GET", url, headers, place.egress, place.timeouts)
        response = await self.upstream.request(outgoing)
        response.abort()
        return response.status

    async def _digests(self, name: str, data: bytes) -> Finding:
        wrong = hashlib.sha256(data + b"!").hexdigest()
        status = await self._put(f"{name}-wrong", data, wrong, len(data))
        if status in (200, 201, 204):
            await self.bucket.delete(f"{name}-wrong")
        return Finding("refuses a body with a wrong digest", status >= 400, False)

    async def _broken(self, name: str, data: bytes) -> Finding:
        """An upload that breaks off must leave nothing, or what was there before."""
        name = f"{name}-broken"
        digest = hashlib.sha256(data).hexdigest()
        await self.bucket.put(name, _OLD)
        await self._put(name, data, digest, len(data) // 2)
        await self.wait(LAG)
        kept = await self.bucket.size(name)
        if kept is not None:
            await self.bucket.delete(name)
        good = kept in (None, len(_OLD))
        detail = "" if good else f"{kept} of {SIZE} bytes were kept"
        return Finding("keeps nothing of an upload that broke off", good, True, detail)

    async def _put(self, name: str, data: bytes, digest: str, sent: int) -> int:
        """The status of a PUT of which only so many bytes are sent; 0 when it was cut."""
        url = self.bucket.place.url(name)
        fields = await self.bucket.signed("PUT", url, self.bucket.put_fields(digest), digest)
        place = self.bucket.place
        outgoing = Outgoing("PUT", url, fields, place.egress, place.timeouts)
        try:
            response = await self.upstream.request(outgoing, _Cut(data, sent, self.wait))
        except UpstreamError:
            return 0
        response.abort()
        return response.status

    async def _listing(self, name: str) -> Finding:
        try:
            names, _ = await self.bucket.listed(name)
        except StoreError as error:
            return Finding("lists objects", False, False, str(error))
        return Finding("lists objects", any(n == name for n, _ in names), False)


def refused(findings: tuple[Finding, ...]) -> str:
    """Why a store can't be used; "" when it can."""
    return "; ".join(
        f"it is not so that the store {each.what}" + (f" ({each.detail})" if each.detail else "")
        for each in findings
        if each.needed and not each.holds
    )


@implementer(IBodyProducer)
class _Cut:
    """A body that breaks off, once what came of it is on its way."""

    def __init__(self, data: bytes, sent: int, wait: Callable[[float], Deferred[None]]) -> None:
        self._data = data
        self._sent = sent
        self._wait = wait
        self.length = len(data)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._data[: self._sent])
        if self._sent == self.length:
            return succeed(None)

        def break_off(_: None) -> None:
            raise _BrokenOff

        return self._wait(LAG).addCallback(break_off)

    def pauseProducing(self) -> None:
        """It is written already."""

    resumeProducing = stopProducing = pauseProducing


class _BrokenOff(Exception):
    """We break off on purpose."""
