"""Package worlds with a class of their own, and what each is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import frozen

from aimirror.ecosystems.oci.paths import Registries
from aimirror.ecosystems.world import World
from aimirror.interfaces import ILibrary
from aimirror.mirror.ecosystem import Ecosystem

if TYPE_CHECKING:
    from aimirror.server.request import MirrorRequest


@frozen(kw_only=True)
class Edges:
    """What a world's class is made of."""

    library: ILibrary
    #: The table of the configuration.
    registries: Registries
    #: By which base URL a client came here.
    mirror_url: Callable[[MirrorRequest], str]


@frozen(kw_only=True)
class Coded(World):
    """A world whose knowledge is a class."""

    make: Callable[[Edges], Ecosystem]
