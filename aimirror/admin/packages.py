"""What is cached, by package and version rather than by file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from attrs import Factory, define, frozen

from aimirror.ecosystems.registry import package
from aimirror.store.listing import Kept

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from aimirror.routing.rules import Rule
    from aimirror.store.store import Store

#: Entries that are looked at, the last used ones.
MOST_LOOKED_AT = 100_000
#: Seconds for which a look at all of them is believed: it takes some seconds of a thread.
BELIEVED = 30.0
#: Packages on one page, versions of one package, and files of each that are told.
MOST_PACKAGES = 200
MOST_VERSIONS = 200
MOST_FILES = 100
#: How packages can be sorted, the first being the usual way.
ORDERS = ("largest", "used", "unused", "name")


@define
class Sum:
    """What several entries come to; times are epoch seconds."""

    entries: int = 0
    bytes: int = 0
    used: float = 0.0
    pinned: int = 0

    def add(self, kept: Kept) -> None:
        """One more."""
        self.entries += 1
        self.bytes += kept.size
        self.used = max(self.used, kept.used)
        self.pinned += bool(kept.pinned)

    def told(self) -> dict[str, Any]:
        """For the API."""
        return {
            "entries": self.entries,
            "bytes": self.bytes,
            "used": self.used,
            "pinned": self.pinned,
        }


@define
class Cached:
    """One package: what it has in all, and by version; "" is what is of all versions."""

    world: str
    name: str
    sum: Sum = Factory(Sum)
    versions: dict[str, Sum] = Factory(dict)

    def add(self, version: str, kept: Kept) -> None:
        """One more file."""
        self.sum.add(kept)
        of_version = self.versions.get(version)
        if of_version is None:
            of_version = self.versions[version] = Sum()
        of_version.add(kept)

    def told(self) -> dict[str, Any]:
        """For the API."""
        versions = len([version for version in self.versions if version])
        return {"world": self.world, "name": self.name, "versions": versions, **self.sum.told()}


@frozen
class Shelf:
    """All packages of a moment, and what is of none."""

    packages: dict[tuple[str, str], Cached]
    nameless: Sum
    #: Whether there are more entries than were looked at.
    partial: bool = False


def sorted_out(kept: Iterable[Kept], worlds: dict[str, str]) -> Shelf:
    """Entries by package; ``worlds`` has the ecosystem of each rule."""
    packages: dict[tuple[str, str], Cached] = {}
    nameless, count = Sum(), 0
    for each in kept:
        count += 1
        named = package(worlds.get(each.rule, ""), each.key)
        if named is None:
            nameless.add(each)
            continue
        world, of = named
        cached = packages.get((world, of.name))
        if cached is None:
            cached = packages.setdefault((world, of.name), Cached(world, of.name))
        cached.add(of.version, each)
    return Shelf(packages, nameless, count >= MOST_LOOKED_AT)


_KEYS: dict[str, Callable[[Cached], Any]] = {
    "largest": lambda cached: (-cached.sum.bytes, cached.name),
    "used": lambda cached: (-cached.sum.used, cached.name),
    "unused": lambda cached: (cached.sum.used, cached.name),
    "name": lambda cached: (cached.name.lower(), cached.world),
}


class Packages:
    """Looks at ``store``, at most once in BELIEVED seconds but for changes made by people."""

    def __init__(
        self, store: Store, clock: IReactorTime, rules: Callable[[], tuple[Rule, ...]]
    ) -> None:
        self._store = store
        self._clock = clock
        self._rules = rules
        self._shelf = Shelf({}, Sum())
        self._until = 0.0

    def forget(self) -> None:
        """Somebody has purged or pinned: the next look is a new one."""
        self._until = 0.0

    async def _look(self) -> Shelf:
        now = self._clock.seconds()
        if now >= self._until:
            self._until = now + BELIEVED
            worlds = self._worlds()
            try:
                self._shelf = await self._store.kept(
                    MOST_LOOKED_AT, lambda kept: sorted_out(kept, worlds)
                )
            except BaseException:
                self._until = 0.0
                raise
        return self._shelf

    async def listed(
        self, contains: str, world: str, order: str, count: int, offset: int
    ) -> dict[str, Any]:
        """A page of packages, and how many there are that fit."""
        shelf = await self._look()
        wanted = contains.lower()
        fitting = [
            cached
            for cached in shelf.packages.values()
            if wanted in cached.name.lower() and world in ("", cached.world)
        ]
        fitting.sort(key=_KEYS[order])
        page = fitting[offset : offset + min(count, MOST_PACKAGES)]
        return {
            "packages": [cached.told() for cached in page],
            "total": len(fitting),
            "worlds": sorted({world for world, _ in shelf.packages}),
            "nameless": shelf.nameless.told(),
            "partial": shelf.partial,
        }

    async def versions(self, world: str, name: str) -> dict[str, Any]:
        """The versions of a package with their files, the last used ones first."""
        worlds = self._worlds()
        files = await self._store.kept(
            MOST_LOOKED_AT, lambda kept: files_of(kept, worlds, world, name)
        )
        cached = Cached(world, name)
        for version, of_version in files.items():
            for kept in of_version:
                cached.add(version, kept)
        rows = [_version(version, cached.versions[version], files[version]) for version in files]
        rows.sort(key=lambda row: -row["used"])
        return {**cached.told(), "versions": rows[:MOST_VERSIONS], "total": len(rows)}

    def _worlds(self) -> dict[str, str]:
        """The ecosystem of each rule."""
        return {rule.name: rule.ecosystem for rule in self._rules()}


def files_of(
    kept: Iterable[Kept], worlds: dict[str, str], world: str, name: str
) -> dict[str, list[Kept]]:
    """The entries of one package, by version."""
    files: dict[str, list[Kept]] = {}
    for each in kept:
        named = package(worlds.get(each.rule, ""), each.key)
        if named is not None and (named[0], named[1].name) == (world, name):
            files.setdefault(named[1].version, []).append(each)
    return files


def _version(version: str, whole: Sum, files: list[Kept]) -> dict[str, Any]:
    shown = [
        {
            "name": kept.name,
            "file": kept.key.partition("?")[0].rstrip("/").rpartition("/")[2],
            "url": kept.key.partition("?")[0],
            "size": kept.size,
            "used": kept.used,
            "received": kept.received,
            "pinned": bool(kept.pinned),
        }
        for kept in files[:MOST_FILES]
    ]
    return {"version": version, **whole.told(), "files": shown}
