"""Getting rid of files: renamed at once, so that the name is free; unlinked in a thread."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from aimirror.store.layout import Layout, scan
from aimirror.store.parts import DeferToThread


class Trash:
    """Unlinks what is thrown into it, in batches; to unlink a large file may take a while."""

    log = Logger()

    def __init__(self, layout: Layout, defer_to_thread: DeferToThread) -> None:
        self._folder = layout.trash
        self._defer_to_thread = defer_to_thread
        self._numbers = count()
        self._pending: list[Path] = []
        self._running = False
        self._waiting: list[Deferred[None]] = []

    def throw(self, path: Path) -> None:
        """Take a file away; one that does not exist is fine, other errors are logged."""
        target = self._folder / str(next(self._numbers))
        try:
            path.rename(target)
        except OSError:
            self._unlink_here(path)
            return
        self._pending.append(target)
        if not self._running:
            self._running = True
            running = Deferred.fromCoroutine(self._run())
            running.addErrback(lambda failure: self.log.failure("cannot empty the trash", failure))

    def _unlink_here(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self.log.error("cannot remove {path}: {error}", path=path, error=error)

    async def _run(self) -> None:
        try:
            while self._pending:
                batch, self._pending = self._pending, []
                await self._defer_to_thread(_unlink, batch)
        finally:
            self._running = False
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                waiter.callback(None)

    @property
    def running(self) -> bool:
        """Whether some of what was thrown may still be on the disk."""
        return self._running

    def emptied(self) -> Deferred[None]:
        """Fires when all that was thrown is off the disk (or could not be removed)."""
        if not self._running:
            return succeed(None)
        waiter: Deferred[None] = Deferred()
        self._waiting.append(waiter)
        return waiter


def empty(layout: Layout) -> None:
    """Remove what an earlier life of the service had thrown; blocks."""
    _unlink([Path(item.path) for item in scan(layout.trash)])


def _unlink(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
