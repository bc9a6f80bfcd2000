"""The last consequences of what was stored: written, synced, and room given back to the disk."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from aimirror.store import database
from aimirror.store.errors import disk_errors
from aimirror.store.journalfile import sync_content, sync_folder
from aimirror.store.packed import SPARE_PAGES, tidy

if TYPE_CHECKING:
    from aimirror.store.catalogue import Catalogue
    from aimirror.store.index import Index
    from aimirror.store.layout import Layout
    from aimirror.store.parts import DeferToThread


class Settling:
    """Knows what a power loss would take still, and has it synced."""

    def __init__(
        self, layout: Layout, index: Index, catalogue: Catalogue, to_thread: DeferToThread
    ) -> None:
        self._layout = layout
        self._index = index
        self._catalogue = catalogue
        self._to_thread = to_thread
        #: Folders with names that a power loss would take.
        self._folders: set[Path] = set()
        #: Blobs whose bytes it would take.
        self._loose: set[str] = set()

    def named(self, folder: Path) -> None:
        """A folder has a new name in it."""
        self._folders.add(folder)

    def added(self, sha256: str) -> None:
        """A blob is there that nobody has synced."""
        self.named(self._layout.blob(sha256).parent)
        self._loose.add(sha256)

    async def settle(self) -> None:
        """Write and sync all of it."""
        self._catalogue.flush()
        self._index.flush()
        folders, self._folders = self._folders, set()
        loose, self._loose = self._loose, set()
        if loose:
            await self._to_thread(_sync_bodies, [self._layout.blob(name) for name in loose])
            self._index.synced(loose)
        await self._to_thread(_sync_names, folders)
        await self.tidy(SPARE_PAGES)
        await self._to_thread(database.checkpoint, self._layout.index)

    async def tidy(self, spare: int = 0) -> None:
        """Give the disk what the small bodies have left, but for some pages."""
        returning = self._index.packed.returning
        self._index.flush()
        await self._to_thread(tidy, self._layout.index, spare)
        self._index.packed.returning -= returning


def _sync_bodies(paths: list[Path]) -> None:
    """In a thread: what small blobs hold; those that are gone meanwhile need it no more."""
    with disk_errors("cannot sync stored bodies"):
        for path in paths:
            with suppress(FileNotFoundError):
                sync_content(path)


def _sync_names(folders: set[Path]) -> None:
    """In a thread: the names of new blobs, before the index that speaks of them.

    A folder that is not there has none: what was to be in it was packed already, or is gone.
    """
    with disk_errors("cannot sync the cache folder"):
        for folder in folders:
            with suppress(FileNotFoundError):
                sync_folder(folder)
