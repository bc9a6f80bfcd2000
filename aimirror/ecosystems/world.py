"""What a package world is, as a value: its name, presets, clients, and what its indexes say.

Most worlds are no more than this, so that their files do no I/O: the classes that read indexes
(``indexed``, ``distributions``) are made of it.  A world that does more is a ``making.Coded``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import frozen

from aimirror.ecosystems.packaged import Packaged
from aimirror.indexes.reading import Files, Repository
from aimirror.settings.setting import Address, Setting


@frozen(kw_only=True)
class Row:
    """A world's row of the table in docs/ecosystems/packages.md."""

    clients: str
    at: str
    checked: str
    changes: str


@frozen(kw_only=True)
class World:
    """One package world."""

    #: What rules say as ``ecosystem``, where there is any ``knowledge``.
    name: str
    #: Presets by name, as YAML: the rules that each stands for, their names being suffixes.
    presets: str = ""
    #: By client: what it must be told to use a mirror at a URL.
    clients: Mapping[str, Callable[[Address], Setting]] = {}
    knowledge: Files | Repository | None = None
    #: Keys of rules that this world does not heed, each with the reason, in words.
    ignores: Mapping[str, str] = {}
    #: The path of a package's page for a path below a prefix, which people write in several ways;
    #: "" for others.
    page_path: Callable[[str, str], str] | None = None
    #: Which package and version a stored URL is of.
    package: Packaged | None = None
    row: Row | None = None
