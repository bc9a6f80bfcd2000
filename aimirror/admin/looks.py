"""Calls of the API that only look: at what happened lately, and at packages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from aimirror.admin.entries import BadSelection
from aimirror.admin.inputs import Words, query_of
from aimirror.admin.packages import MOST_PACKAGES, ORDERS, Packages
from aimirror.admin.recent import MOST_ANSWERS, MOST_LINES, Recent
from aimirror.admin.uses import MOST_CLIENTS

if TYPE_CHECKING:
    from aimirror.routing.rules import Rule
    from aimirror.server.request import MirrorRequest

#: Rows that are told unless another number is asked for.
_ROWS = 50

Told = dict[str, Any]


class Looks:
    """Answers from ``recent`` and ``packages``; ``calls`` has the answers by name."""

    def __init__(
        self, recent: Recent, packages: Packages, rules: Callable[[], tuple[Rule, ...]]
    ) -> None:
        self._recent = recent
        self._packages = packages
        self._rules = rules
        self.calls: Mapping[str, Callable[[MirrorRequest], Awaitable[Told]]] = {
            "usage": self._usage,
            "errors": self._errors,
            "answers": self._answers,
            "log": self._log,
            "packages": self._list,
            "package": self._package,
        }

    def changed(self) -> None:
        """What is stored was changed by people, who want to see that."""
        self._packages.forget()

    async def _usage(self, request: MirrorRequest) -> Told:
        count = _count(query_of(request), MOST_CLIENTS)
        return self._recent.usage(count, [rule.name for rule in self._rules()])

    async def _errors(self, request: MirrorRequest) -> Told:
        return {"errors": self._recent.errors.told()}

    async def _answers(self, request: MirrorRequest) -> Told:
        words = query_of(request)
        return self._recent.answers(int(words.number("after") or 0), _count(words, MOST_ANSWERS))

    async def _log(self, request: MirrorRequest) -> Told:
        words = query_of(request)
        return self._recent.lines.told(int(words.number("after") or 0), _count(words, MOST_LINES))

    async def _list(self, request: MirrorRequest) -> Told:
        words = query_of(request)
        order = words.text("order", ORDERS[0])
        if order not in ORDERS:
            raise BadSelection(f"order: one of {', '.join(ORDERS)}")
        return await self._packages.listed(
            words.text("contains"),
            words.text("world"),
            order,
            _count(words, MOST_PACKAGES),
            int(words.number("offset") or 0),
        )

    async def _package(self, request: MirrorRequest) -> Told:
        words = query_of(request)
        if not words.text("package"):
            raise BadSelection("world and package are wanted")
        return await self._packages.versions(words.text("world"), words.text("package"))


def _count(words: Words, most: int) -> int:
    count = words.number("count")
    return min(most, int(_ROWS if count is None else count))
