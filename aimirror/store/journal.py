"""The journal of a part: an append-only text of what is known to be on the disk.

Each line is ``<crc32> <json>``.  The first describes the part, the others add spans, and a last
one may announce the blob that the part is about to become.  A line counts only if it and all
lines before it are whole, so that a torn or overwritten tail only forgets.

Spans are *durable*, told after they were synced, or only *noted* as written.  What is noted lives
in the kernel's memory: it outlives every process, but not the kernel.  So a note names the boot
during which it was made, and counts only until the next one.
"""

from __future__ import annotations

import json
from typing import Any
from zlib import crc32

from attrs import field, frozen

from aimirror.download.spans import Spans
from aimirror.http.headers import Headers
from aimirror.http.validator import Validator


@frozen(kw_only=True)
class PartMeta:
    """What must be known to go on with a download: which file it is, and which version of it."""

    key: str
    scope: str = ""
    #: Where the bytes come from, after redirects; may be signed, so it is never shown.
    url: str = field(default="", repr=False)
    validator: Validator = Validator()
    #: Bytes of the whole body, None while unknown.
    total: int | None = None
    status: int = 200
    headers: Headers = Headers()
    #: Epoch seconds: when the request was sent and when its header was received.
    requested_at: float = 0.0
    received_at: float = 0.0
    rule: str = ""


@frozen
class Journal:
    """What a journal says, as far as it can be trusted."""

    meta: PartMeta
    durable: Spans
    #: Durable, or noted during this boot.
    written: Spans
    #: Epoch seconds of the last line.
    at: float
    #: The blob that the part was about to become, "" when it was not complete.
    blob: str
    #: Bytes of whole lines; what follows must be cut off before more is appended.
    length: int


def opening(meta: PartMeta, at: float) -> bytes:
    """The first line."""
    described = {
        "key": meta.key,
        "scope": meta.scope,
        "url": meta.url,
        "etag": meta.validator.etag,
        "last_modified": meta.validator.last_modified,
        "total": meta.total,
        "status": meta.status,
        "headers": meta.headers.items,
        "requested_at": meta.requested_at,
        "received_at": meta.received_at,
        "rule": meta.rule,
    }
    return _line({"at": at, "part": described})


def progress(spans: Spans, at: float) -> bytes:
    """A line that says: these bytes are on the disk, too."""
    return _line({"at": at, "add": spans.pairs})


def note(spans: Spans, boot: str, at: float) -> bytes:
    """A line that says: these bytes are written, though not synced."""
    return _line({"at": at, "wrote": spans.pairs, "boot": boot})


def completion(blob: str, spans: Spans, at: float) -> bytes:
    """A line that says: with these bytes all is on the disk, and the file becomes this blob."""
    return _line({"at": at, "add": spans.pairs, "blob": blob})


def verdict(why: str, at: float) -> bytes:
    """A line that says why the part was quarantined."""
    return _line({"at": at, "why": why})


def parse(data: bytes, boot: str = "") -> Journal | None:
    """The trustworthy head of a journal, or None when not even the first line is whole.

    Notes count that were made during ``boot``; without one, none does.
    """
    meta: PartMeta | None = None
    durable: list[tuple[int, int]] = []
    noted: list[tuple[int, int]] = []
    at, blob, length = 0.0, "", 0
    for raw in data.splitlines(keepends=True):
        try:
            values = _unline(raw)
            if meta is None:
                meta = _meta(values["part"])
            added, wrote = _pairs(values, "add"), _pairs(values, "wrote")
            blob, at = str(values.get("blob", blob)), float(values["at"])
        except (ValueError, KeyError, TypeError, AttributeError):
            break
        durable += added
        if boot and values.get("boot") == boot:
            noted += wrote
        length += len(raw)
    if meta is None:
        return None
    return Journal(meta, Spans(durable), Spans(durable + noted), at, blob, length)


def _pairs(values: dict[str, Any], name: str) -> list[tuple[int, int]]:
    pairs = [(int(start), int(stop)) for start, stop in values.get(name, ())]
    Spans(pairs)  # raises ValueError for what is no interval
    return pairs


def _line(values: dict[str, Any]) -> bytes:
    text = json.dumps(values, separators=(",", ":")).encode("ascii")
    return b"%08x %s\n" % (crc32(text), text)


def _unline(raw: bytes) -> dict[str, Any]:
    if raw[8:9] != b" " or not raw.endswith(b"\n") or int(raw[:8], 16) != crc32(raw[9:-1]):
        raise ValueError("not a whole line")
    values: dict[str, Any] = json.loads(raw[9:-1])
    return values


def _meta(values: dict[str, Any]) -> PartMeta:
    total = values["total"]
    return PartMeta(
        key=str(values["key"]),
        scope=str(values["scope"]),
        url=str(values["url"]),
        validator=Validator(str(values["etag"]), str(values["last_modified"])),
        total=None if total is None else int(total),
        status=int(values["status"]),
        headers=Headers((str(n), str(v)) for n, v in values["headers"]),
        requested_at=float(values["requested_at"]),
        received_at=float(values["received_at"]),
        rule=str(values["rule"]),
    )
