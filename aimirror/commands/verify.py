"""``aimirror verify``: every stored file hashed again."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from aimirror.commands.common import add_common, complain
from aimirror.tap import configured

if TYPE_CHECKING:
    from aimirror.commands.common import Commands


def add(commands: Commands) -> None:
    """The parser of this command."""
    verify = commands.add_parser(
        "verify", help="hash every stored file again and drop what is damaged"
    )
    add_common(verify)
    verify.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Open the cache folder, which no service may use, and verify it."""
    from twisted.internet import reactor as real

    from aimirror.service import MirrorService

    reactor: Any = real
    config = configured(given.config, None, None, given.cache_dir)
    store = MirrorService(config, reactor, failed=print, ready=print).store
    problems: list[str] = []

    async def work() -> None:
        await store.open()
        try:
            found = await store.verify()
        finally:
            await store.close()
        print(f"{found.checked} files checked, {found.bad} damaged ones dropped")

    def begin() -> None:
        working = Deferred.fromCoroutine(work())
        working.addErrback(lambda f: problems.append(f.getErrorMessage()))
        working.addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    return complain(problems[0]) if problems else 0
