"""One bucket of an S3 store, by our own connections."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html import unescape
from urllib.parse import quote

from attrs import field, frozen

from aimirror.at_hand import AtHand
from aimirror.http.egress import ANYWHERE, Egress, Outgoing, Timeouts
from aimirror.http.headers import Headers
from aimirror.interfaces import IUpstream, IUpstreamResponse, UpstreamError
from aimirror.tier.sigv4 import UNSIGNED, NoCredentials, Signer
from aimirror.upstream.responses import collect

#: Bytes of an answer that is no object: errors, lists, the names of uploads.
MOST_TOLD = 4 << 20
#: Names in one answer to ``listed``.
PAGE = 1000
_NOTHING = sha256(b"").hexdigest()
_KEY = re.compile(r"<Contents>.*?<Key>([^<]+)</Key>.*?<Size>(\d+)</Size>.*?</Contents>", re.DOTALL)
_CODE = re.compile(r"<Code>([A-Za-z]{1,64})</Code>")
_UPLOAD = re.compile(r"<UploadId>([^<]{1,2000})</UploadId>")
_TRUNCATED = "<IsTruncated>true</IsTruncated>"


class StoreError(Exception):
    """The store could not do it; ``status`` is that of its answer, 0 when there was none."""

    def __init__(self, detail: str, status: int = 0) -> None:
        super().__init__(detail)
        self.status = status


@frozen(kw_only=True)
class Place:
    """Where a bucket is: ``base`` is its URL without a slash at the end, ``prefix`` ends in one."""

    base: str
    prefix: str = ""
    egress: Egress = field(default=Egress(reach=ANYWHERE), repr=False)
    #: Seconds for what a client waits for, and for what nobody waits for.
    timeouts: Timeouts = Timeouts()
    patient: Timeouts = Timeouts()

    def url(self, name: str) -> str:
        """The URL of an object."""
        return f"{self.base}/{quote(self.prefix + name, safe='/~')}"


class Bucket:
    """Reads and writes the objects below one prefix.  All methods raise StoreError."""

    def __init__(self, place: Place, upstream: IUpstream, signer: Signer) -> None:
        self.place = place
        self._upstream = upstream
        self._signer = signer

    async def get(self, name: str, most: int, span: tuple[int, int] | None = None) -> bytes | None:
        """An object of at most so many bytes; None when there is none."""
        response = await self.open(name, span)
        if response is None:
            return None
        return await _collected(response, most)

    async def open(
        self, name: str, span: tuple[int, int] | None = None
    ) -> IUpstreamResponse | None:
        """The response with an object, or with ``[start, stop)`` of it; None when there is none."""
        fields = Headers([("Accept-Encoding", "identity")])
        if span is not None:
            fields = fields.with_("Range", f"bytes={span[0]}-{span[1] - 1}")
        response = await self._ask("GET", self.place.url(name), fields)
        if response.status == 404:
            await _collected(response, MOST_TOLD)
            return None
        return await _right(response, 200, 206)

    async def size(self, name: str) -> int | None:
        """Bytes of an object; None when there is none."""
        response = await self._ask("HEAD", self.place.url(name))
        length = response.headers.get("content-length", "") or ""
        await _collected(response, MOST_TOLD)
        if response.status == 404:
            return None
        await _right(response, 200)
        return int(length) if length.isdecimal() else response.length

    async def put(self, name: str, data: bytes) -> None:
        """Write a small object."""
        fields = self.put_fields(sha256(data).hexdigest())
        url = self.place.url(name)
        await _told(await self._ask("PUT", url, fields, data), 200, 201, 204)

    def put_fields(self, digest: str) -> Headers:
        """Fields of a PUT that name the digest (hex) of its body.

        The signature names it, too: some stores check only the one, some only the other.
        """
        checksum = b64encode(bytes.fromhex(digest)).decode("ascii")
        return Headers(
            [("x-amz-checksum-sha256", checksum), ("x-amz-sdk-checksum-algorithm", "SHA256")]
        )

    async def signed(self, method: str, url: str, fields: Headers, digest: str) -> Headers:
        """The fields of a request that somebody else sends."""
        return await self._signed(method, url, fields, digest)

    async def presigned(self, name: str) -> str:
        """A URL with which workers can GET an object for a while."""
        try:
            return await self._signer.presigned(self.place.url(name))
        except NoCredentials as error:
            raise StoreError(str(error)) from None

    async def delete(self, name: str) -> None:
        """Remove an object; nothing happens when there is none."""
        await _told(await self._ask("DELETE", self.place.url(name)), 200, 204, 404)

    async def listed(self, prefix: str, after: str = "") -> tuple[list[tuple[str, int]], bool]:
        """Names (behind our prefix) and sizes of a page of objects, and whether there are more."""
        whole = self.place.prefix
        words = [("list-type", "2"), ("max-keys", str(PAGE)), ("prefix", whole + prefix)]
        if after:
            words.append(("start-after", whole + after))
        query = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in sorted(words))
        text = await _told(await self._ask("GET", f"{self.place.base}/?{query}"), 200)
        objects = [(unescape(key)[len(whole) :], int(size)) for key, size in _KEY.findall(text)]
        return objects, _TRUNCATED in text

    # -- multipart -------------------------------------------------------------------------

    async def begin_parts(self, name: str) -> str:
        """Begin an upload in parts; its id."""
        url = f"{self.place.url(name)}?uploads="
        text = await _told(await self._ask("POST", url), 200)
        match = _UPLOAD.search(text)
        if match is None:
            raise StoreError("the store names no upload")
        return unescape(match[1])

    def part_url(self, name: str, upload: str, number: int) -> str:
        """Where part ``number`` (from 1 on) of an upload is PUT."""
        return f"{self.place.url(name)}?partNumber={number}&uploadId={quote(upload, safe='-_.~')}"

    async def end_parts(self, name: str, upload: str, tags: list[str]) -> None:
        """Make the parts, whose ETags these are, one object."""
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"
            for number, tag in enumerate(tags, 1)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        url = f"{self.place.url(name)}?uploadId={quote(upload, safe='-_.~')}"
        text = await _told(await self._ask("POST", url, Headers(), body), 200)
        if "<Error>" in text:  # it may have answered 200 before it failed
            raise StoreError(f"the parts were refused: {_code(text)}")

    async def drop_parts(self, name: str, upload: str) -> None:
        """Give an upload up."""
        url = f"{self.place.url(name)}?uploadId={quote(upload, safe='-_.~')}"
        await _told(await self._ask("DELETE", url), 200, 204, 404)

    # -- requests --------------------------------------------------------------------------

    async def _ask(
        self, method: str, url: str, fields: Headers | None = None, body: bytes = b""
    ) -> IUpstreamResponse:
        digest = sha256(body).hexdigest() if body else _NOTHING
        headers = await self._signed(method, url, fields or Headers(), digest)
        place = self.place
        reads = method in ("GET", "HEAD")
        timeouts = place.timeouts if reads else place.patient
        outgoing = Outgoing(method, url, headers, place.egress, timeouts)
        sends = None if reads or method == "DELETE" else AtHand(body)
        try:
            return await self._upstream.request(outgoing, sends)
        except UpstreamError as error:
            raise StoreError(str(error)) from None

    async def _signed(self, method: str, url: str, fields: Headers, digest: str) -> Headers:
        try:
            return await self._signer.headers(method, url, fields, digest or UNSIGNED)
        except NoCredentials as error:
            raise StoreError(str(error)) from None


async def _collected(response: IUpstreamResponse, most: int) -> bytes:
    try:
        return await collect(response, most)
    except UpstreamError as error:
        raise StoreError(str(error)) from None


async def _right(response: IUpstreamResponse, *statuses: int) -> IUpstreamResponse:
    """The response, if its status is one of these."""
    if response.status in statuses:
        return response
    code = ""
    if response.length:
        code = _code((await _collected(response, MOST_TOLD)).decode("utf-8", "replace"))
    else:
        response.abort()
    raise StoreError(f"status {response.status} {code}".strip(), response.status)


async def _told(response: IUpstreamResponse, *statuses: int) -> str:
    """The text of an answer with one of these statuses."""
    await _right(response, *statuses)
    return (await _collected(response, MOST_TOLD)).decode("utf-8", "replace")


def _code(text: str) -> str:
    match = _CODE.search(text)
    return "" if match is None else match[1]
