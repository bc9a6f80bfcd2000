"""Package worlds with a class of their own, and what each is made of."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from aimirror.ecosystems.world import World
from aimirror.interfaces import ILibrary
from aimirror.mirror.ecosystem import Ecosystem
from aimirror.registries.registry import Registries


@frozen(kw_only=True)
class Edges:
    """What a world's class is made of."""

    library: ILibrary
    #: The table of the configuration.
    registries: Registries


@frozen(kw_only=True)
class Coded(World):
    """A world whose knowledge is a class."""

    make: Callable[[Edges], Ecosystem]
