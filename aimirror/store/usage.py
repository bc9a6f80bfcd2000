"""What the store tells of itself, as values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from aimirror.caching.entries import Entry

if TYPE_CHECKING:
    pass


@frozen
class Usage:
    """What the cache takes of the disk, in bytes of file size (``st_size``, not blocks).

    Blobs, parts, quarantine and what only its readers keep there count; sidecars, journals and the
    index do not.
    """

    total: int
    blobs: int
    files: int
    entries: int
    parts: int
    quarantine: int
    nameless: int = 0


@frozen
class Unsent:
    """An entry in the outbox since some moment; None when it is not stored any more."""

    name: str
    since: float
    entry: Entry | None
