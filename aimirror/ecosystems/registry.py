"""The one list of package worlds: what rules and presets may name is made of it.

A new world is its own file and a line here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from aimirror.ecosystems import (
    apk,
    apt,
    astral,
    cargo,
    cocoapods,
    composer,
    conan,
    cpan,
    github,
    go,
    hackage,
    helm,
    hex,
    homebrew,
    jsr,
    julia,
    luarocks,
    models,
    modelscope,
    nix,
    nodejs,
    npm,
    nuget,
    playwright,
    pub,
    pytorch,
    rpm,
    rust,
    swift,
    vcpkg,
)
from aimirror.ecosystems.conda import world as conda
from aimirror.ecosystems.cran import world as cran
from aimirror.ecosystems.huggingface import world as huggingface
from aimirror.ecosystems.making import Coded, Edges
from aimirror.ecosystems.maven import world as maven
from aimirror.ecosystems.oci import world as oci
from aimirror.ecosystems.packaged import Package
from aimirror.ecosystems.pypi import world as pypi
from aimirror.ecosystems.rubygems import world as rubygems
from aimirror.ecosystems.terraform import world as terraform
from aimirror.ecosystems.world import Row, World
from aimirror.indexes.distributions import Distribution
from aimirror.indexes.indexed import Indexed
from aimirror.indexes.reading import Repository
from aimirror.interfaces import ILibrary
from aimirror.mirror.ecosystem import Ecosystem
from aimirror.registries.registry import Registries, Registry
from aimirror.settings.setting import Address, Setting

#: In the order of the documents' table.
WORLDS: tuple[World, ...] = (
    pypi.WORLD,
    oci.WORLD,
    huggingface.WORLD,
    npm.WORLD,
    conda.WORLD,
    cran.WORLD,
    maven.WORLD,
    apt.WORLD,
    go.WORLD,
    cargo.WORLD,
    rubygems.WORLD,
    apk.WORLD,
    rpm.WORLD,
    homebrew.WORLD,
    github.WORLD,
    helm.WORLD,
    nuget.WORLD,
    terraform.WORLD,
    composer.WORLD,
    nix.WORLD,
    pub.WORLD,
    hex.WORLD,
    jsr.WORLD,
    julia.WORLD,
    cpan.WORLD,
    luarocks.WORLD,
    conan.WORLD,
    vcpkg.WORLD,
    swift.WORLD,
    cocoapods.WORLD,
    hackage.WORLD,
    modelscope.WORLD,
    pytorch.WORLD,
    astral.WORLD,
    nodejs.WORLD,
    rust.WORLD,
    playwright.WORLD,
    models.WORLD,
)


def _by_name(worlds: Iterable[World]) -> dict[str, World]:
    """ValueError when two have one name: rules could not tell them apart."""
    by_name: dict[str, World] = {}
    for world in worlds:
        if world.name in by_name:
            raise ValueError(f"two package worlds are named {world.name!r}")
        by_name[world.name] = world
    return by_name


def _clients(worlds: Iterable[World]) -> dict[str, Callable[[Address], Setting]]:
    """ValueError when two worlds tell one client something."""
    clients: dict[str, Callable[[Address], Setting]] = {}
    for world in worlds:
        for client, setting in world.clients.items():
            if client in clients:
                raise ValueError(f"two package worlds set up {client!r}")
            clients[client] = setting
    return clients


def _knows(world: World) -> bool:
    return isinstance(world, Coded) or world.knowledge is not None


BY_NAME = _by_name(WORLDS)
#: Worlds of which no rule can say that it is theirs, as nothing is known of their digests.
_UNSAID = tuple(world for world in WORLDS if not _knows(world))

#: What rules may say as ``ecosystem``: each of these has a class.
NAMES = tuple(world.name for world in WORLDS if _knows(world))

#: What ``aimirror setup`` knows, by client.
CLIENTS: Mapping[str, Callable[[Address], Setting]] = _clients(WORLDS)


def setting(client: str, mirror: Address | str) -> Setting:
    """The setting of a client (one of ``CLIENTS``) for a mirror, or for one at a URL."""
    return CLIENTS[client](Address(mirror) if isinstance(mirror, str) else mirror)


def package(ecosystem: str, url: str) -> tuple[str, Package] | None:
    """The world and the package that a stored URL is of, by what its rule says; None for none."""
    worlds = (BY_NAME[ecosystem],) if ecosystem in BY_NAME else _UNSAID
    for world in worlds:
        named = None if world.package is None else world.package(url)
        if named is not None:
            return world.name, named
    return None


def ecosystems(
    library: ILibrary,
    registries: Iterable[Registry],
) -> dict[str, Ecosystem]:
    """All that rules can name."""
    edges = Edges(library=library, registries=Registries(registries))
    return {name: made(BY_NAME[name], edges) for name in NAMES}


def made(world: World, edges: Edges) -> Ecosystem:
    """The class that carries a world's knowledge out.  ValueError for a world without any."""
    if isinstance(world, Coded):
        return world.make(edges)
    if isinstance(world.knowledge, Repository):
        return Distribution(edges.library, world.knowledge)
    if world.knowledge is None:
        raise ValueError(f"nothing is known of the package world {world.name!r}")
    return Indexed(edges.library, world.knowledge)


def is_index(ecosystem: str, url: str) -> bool:
    """Whether a URL is that of an index to which the packages that it names do not lead."""
    knowledge = getattr(BY_NAME.get(ecosystem), "knowledge", None)
    return isinstance(knowledge, Repository) and knowledge.lists_packages(url)


def table() -> str:
    """The table of docs/ecosystems/packages.md, in Markdown."""
    rows = [Row(clients="clients", at="at", checked="checked by", changes="changes")]
    lines = [_line(row) for row in (*rows, *(w.row for w in WORLDS if w.row is not None))]
    return "\n".join([lines[0], "| --- | --- | --- | --- |", *lines[1:]]) + "\n"


def _line(row: Row) -> str:
    return f"| {row.clients} | {row.at} | {row.checked} | {row.changes} |"
