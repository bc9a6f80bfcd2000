"""Settings that tell a package client to use a mirror: a file, its text, and how both are merged.

Which settings there are is written in the file of each world.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import evolve, field, frozen

from aimirror.settings import lines
from aimirror.settings.merging import Merge

#: What os-release(5) says of a machine.
Machine = Mapping[str, str]


@frozen
class Address:
    """A mirror as a client sees it: its URL without slash, and which worlds are not at the usual
    place: their path there by the usual one.
    """

    url: str
    moved: Mapping[str, str] = field(factory=dict)

    def at(self, prefix: str) -> str:
        """The URL of what the default configuration serves at a path, without slash."""
        return self.url + self.moved.get(prefix, prefix)

    @property
    def host(self) -> str:
        """Its host and port."""
        return self.url.partition("://")[2].partition("/")[0]

    @property
    def plain(self) -> bool:
        """Whether clients must be told to do without TLS; with it, they must go on verifying it."""
        return not self.url.startswith("https:")


@frozen
class Setting:
    """One client's configuration: the file that holds it, the text of a new one, and the merge.

    A ``~`` stands for the user's home; a ``*`` in a path for whatever files there are.
    """

    path: str
    text: str
    merges: Merge
    note: str = ""
    #: A path at the mirror that the client would ask for, which is there.
    probe: str = field(default="", kw_only=True)
    #: Files that are edited in place of ``path`` where one of them is there, the first alone.
    instead: tuple[str, ...] = field(default=(), kw_only=True)
    #: Files of which all that are there are edited, and no other is made.
    existing: tuple[str, ...] = field(default=(), kw_only=True)
    #: Further settings, each with what must be there for it to be wanted: a file, or ``$NAME=x``
    #: for a variable that ends so.
    also: tuple[tuple[str, Setting], ...] = field(default=(), kw_only=True)
    #: The same for a machine, where it matters which.
    on: Callable[[Machine], Setting] | None = field(default=None, kw_only=True)


def as_text(own: list[str]) -> str:
    """Lines as the text of a file."""
    return "".join(f"{line}\n" for line in own)


def exported(probe: str, **values: str) -> Setting:
    """Variables of the environment, for the shells that a user has."""
    own = [f"export {name}={value}" for name, value in values.items()]
    fish = [f"set -gx {name} {value}" for name, value in values.items()]
    merges = lines.marked(*own)
    profile = Setting("~/.profile", as_text(own), merges, "then log in again", probe=probe)
    bash, zsh = (evolve(profile, path=path) for path in ("~/.bash_profile", "~/.zprofile"))
    other = Setting("~/.config/fish/conf.d/aimirror.fish", as_text(fish), lines.marked(*fish))
    return evolve(
        profile,
        also=(
            ("~/.bash_profile", bash),  # bash reads it in place of ~/.profile
            ("~/.zprofile", zsh),
            ("~/.zshrc", zsh),
            ("$SHELL=/zsh", zsh),
            ("~/.config/fish", other),
        ),
    )
