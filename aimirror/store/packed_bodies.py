"""Bodies that have no file of their own: read from where they are packed, given one when asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from attrs import frozen

from aimirror import platform
from aimirror.interfaces import BodyFailed
from aimirror.store.bodies import StoredBody
from aimirror.store.database import Blob

if TYPE_CHECKING:
    from aimirror.store.bodies import Bodies


class Pack(Protocol):
    """Where small bodies are; methods raise OSError."""

    def content(self, sha256: str) -> bytes | None:
        """All bytes of one, None when it is not there, or damaged."""

    def unpacked(self, sha256: str) -> Path:
        """Give it a file of its own; BodyFailed when it is not there."""


@frozen
class PackedFile:
    """Where a small body lies: next to nothing, so that many can be remembered."""

    blob: Blob
    pack: Pack

    def read(self) -> bytes:
        """All of it; BodyFailed or OSError when it is not there any more."""
        content = self.pack.content(self.blob.sha256)
        if content is None or len(content) != self.blob.size:
            raise BodyFailed(f"blob {self.blob.sha256} is gone or damaged")
        return content


class PackedBody(StoredBody):
    """A body whose descriptor, where a reader needs one, is of a copy in memory."""

    def __init__(self, blob: Blob, shelf: Bodies, pack: Pack, content: bytes | None = None) -> None:
        super().__init__("", blob, shelf, content)
        self._pack = pack

    @property
    def path(self) -> Path:
        """A file of its own, made when asked for: what reads it by name is another process."""
        return self._pack.unpacked(self.blob.sha256)

    @property
    def file(self) -> PackedFile:
        """Where it lies."""
        return PackedFile(self.blob, self._pack)

    def keep(self) -> None:
        """Have it in memory; BodyFailed when it is not there."""
        self.data()

    def let_go(self) -> None:
        """Nothing is held."""

    def unchanged(self) -> bool:
        """Nobody changes it; what goes is forgotten."""
        return True

    def _read(self) -> bytes:
        return self.file.read()

    def _open(self) -> int:
        return platform.memory_file(self.data())
