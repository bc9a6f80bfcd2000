"""Stored entries for administrators: listed, looked at, purged, pinned."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen
from twisted.internet.defer import Deferred

from aimirror.caching.entries import Entry
from aimirror.caching.freshness import age
from aimirror.ecosystems.registry import WORLDS
from aimirror.http.urls import canonical
from aimirror.routing.rules import Route, Rule, route_of
from aimirror.store.layout import entry_name
from aimirror.store.listing import Listed, Listing
from aimirror.tier.orders import Order, Orders

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from aimirror.store.store import Store

#: Entries dropped in one turn of the reactor: each costs a file and a row.
SLICE = 32
#: Response fields that are told of an entry: what they say is about the file.
_TOLD = (
    *("content-type", "content-encoding", "etag", "last-modified", "cache-control", "expires"),
    *("vary", "date", "docker-content-digest", "x-repo-commit", "x-linked-etag"),
)


#: By ecosystem: the path of a package's page, which people write in several ways ("" for others).
_PAGES: dict[str, Callable[[str, str], str]] = {
    world.name: world.page_path for world in WORLDS if world.page_path is not None
}


class BadSelection(ValueError):
    """It names nothing, or what can't be found."""


@frozen(kw_only=True)
class Selection:
    """Which entries are meant; all that is given must hold, and something must be."""

    #: An upstream's URL, or a path of the mirror; without query all of its queries are meant.
    url: str = ""
    #: The name of one entry, as listings tell it.
    name: str = ""
    prefix: str = ""
    rule: str | None = None
    #: Seconds since it was received.
    older_than: float | None = None
    everything: bool = False

    @property
    def exact(self) -> bool:
        """Whether it means one file, and so a pinned one, too."""
        return bool(self.url or self.name)

    @property
    def empty(self) -> bool:
        """Whether nothing is given."""
        given = self.url or self.name or self.prefix or self.everything
        return not given and self.rule is None and self.older_than is None


class Entries:
    """Looks at and changes what ``store`` has."""

    def __init__(
        self,
        store: Store,
        clock: IReactorTime,
        rules: Callable[[], tuple[Rule, ...]],
        orders: Orders | None = None,
    ) -> None:
        self._store = store
        self._orders = orders
        if orders is not None:
            orders.obey = self.obey
        self._clock = clock
        self._rules = rules

    async def listed(self, wanted: Listing) -> list[dict[str, Any]]:
        """A page of entries."""
        summaries = [self._summary(item) for item in await self._store.listing(wanted)]
        if not summaries:
            self._look_for(wanted.rule)
        return summaries

    async def details(self, selection: Selection) -> list[dict[str, Any]]:
        """The entries of one URL, with what their responses said."""
        return [self._details(entry) for entry in self._selected(selection)]

    async def purge(self, selection: Selection, *, dry: bool = False) -> tuple[int, int]:
        """Drop entries; how many, and the bytes of their bodies (which others may share).

        Pinned ones go only when they are named.  Downloads under way go on.
        """
        count = size = 0
        for entry in self._selected(selection):
            if entry.pinned and not selection.exact:
                continue
            count += 1
            size += entry.size
            if not dry:
                self._store.drop(entry)
            if count % SLICE == 0:
                await self._pause()
        if not count:
            self._look_for(selection.rule)
        if not dry:
            await self._order("purge", selection)
        return count, size

    async def pin(self, selection: Selection, pinned: bool) -> tuple[int, int]:
        """Keep entries from eviction, or no more; how many were meant, and how many changed."""
        matched = changed = 0
        for entry in self._selected(selection):
            matched += 1
            if entry.pinned is not pinned and self._store.put(evolve(entry, pinned=pinned)):
                changed += 1
                if changed % SLICE == 0:
                    await self._pause()
        if not matched:
            self._look_for(selection.rule)
        await self._order("pin" if pinned else "unpin", selection)
        return matched, changed

    async def _order(self, kind: str, selection: Selection) -> None:
        """Have the other nodes do the same."""
        if self._orders is None:
            return
        order = Order(
            kind=kind,
            before=self._clock.seconds() - (selection.older_than or 0.0),
            key=self._key(selection.url) if selection.url else "",
            name=selection.name,
            prefix=selection.prefix,
            rule=selection.rule,
        )
        await self._orders.give(order)

    def obey(self, order: Order) -> Deferred[None]:
        """Do what was ordered on another node, or here."""
        return Deferred.fromCoroutine(self._obey(order))

    async def _obey(self, order: Order) -> None:
        exact, count = bool(order.key or order.name), 0
        for entry in self._store.find(order.key or order.prefix, order.rule, order.before):
            if not order.means(entry):
                continue
            if order.kind == "purge" and (exact or not entry.pinned):
                self._store.drop(entry)
            elif order.kind != "purge" and entry.pinned is not (order.kind == "pin"):
                self._store.put(evolve(entry, pinned=order.kind == "pin"))
            count += 1
            if count % SLICE == 0:
                await self._pause()

    def _look_for(self, rule: str | None) -> None:
        """Nothing was found of a rule: raises BadSelection when there is none of that name.

        Entries of a rule that is gone can be named as long as there are some.
        """
        names = [each.name for each in self._rules()]
        if rule and rule not in names:
            close = difflib.get_close_matches(rule, names, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise BadSelection(f"there is no rule {rule[:80]!r}{hint}")

    def _selected(self, selection: Selection) -> Iterator[Entry]:
        if selection.empty:
            raise BadSelection("say which: url, name, prefix, rule, older_than or everything")
        prefix = self._key(selection.url) if selection.url else selection.prefix
        before = None
        if selection.older_than is not None:
            before = self._clock.seconds() - selection.older_than
        for entry in self._store.find(prefix, selection.rule, before):
            if selection.url and not _is(prefix, entry.key):
                continue
            if not selection.name or entry_name(entry) == selection.name:
                yield entry

    def _key(self, url: str) -> str:
        """The key of a URL, or of a path of the mirror, whose first slash may be left out."""
        if url.lower().startswith(("http://", "https://")):
            try:
                return canonical(url)
            except ValueError:
                raise BadSelection(f"{url[:200]!r} is neither a URL nor a path") from None
        path, _, query = url.partition("?")
        chosen = self._route("/" + path.removeprefix("/"), query)
        name = _PAGES.get(chosen.rule.ecosystem)
        page = name(chosen.path, chosen.rule.path_prefix) if name is not None else ""
        return self._route(page, query).key if page else chosen.key

    def _route(self, path: str, query: str) -> Route:
        chosen = route_of(self._rules(), path, query)
        if not isinstance(chosen, Route):
            raise BadSelection(f"no rule takes {path}")
        return chosen

    def _pause(self) -> Deferred[None]:
        turn: Deferred[None] = Deferred()
        self._clock.callLater(0, turn.callback, None)
        return turn

    def _summary(self, item: Listed) -> dict[str, Any]:
        entry = item.entry
        key, query, _ = entry.key.partition("?")
        return {
            "name": item.name,
            "url": key + ("?…" if query else ""),
            "rule": entry.rule,
            "size": entry.size,
            "status": entry.status,
            "received": entry.received_at,
            "used": item.used,
            "pinned": entry.pinned,
            "private": bool(entry.scope),
            "immutable": entry.immutable,
        }

    def _details(self, entry: Entry) -> dict[str, Any]:
        summary = self._summary(Listed(entry_name(entry), entry, 0.0))
        del summary["used"]
        return {
            **summary,
            "sha256": entry.blob,
            "variant": entry.variant,
            "age": round(age(entry, self._clock.seconds())),
            "invalidated": entry.invalidated,
            "headers": [[n, v] for n, v in entry.headers if n.lower() in _TOLD],
        }


def _is(wanted: str, key: str) -> bool:
    return key == wanted or ("?" not in wanted and key.startswith(wanted + "?"))
