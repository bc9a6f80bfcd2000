"""The pages for everybody: what this mirror serves, and how clients are set up for it.

They tell nothing private: no upstream, no rule that no well-known client is served by, no file.  No
script is needed to read them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape

from attrs import frozen

from aimirror.admin.pages import PLACE, answered, menu, moved_to, page
from aimirror.bounded import LRU
from aimirror.config.offers import moved, offered
from aimirror.ecosystems.registry import WORLDS, setting
from aimirror.routing.rules import Rule
from aimirror.server.answers import Answer
from aimirror.settings.setting import Address, Setting

#: What worlds are called by those who use them.
TITLES = {
    "pypi": "Python packages",
    "oci": "Container images",
    "huggingface": "Hugging Face models and datasets",
    "npm": "JavaScript packages (npm)",
    "conda": "conda packages",
    "cran": "R packages",
    "maven": "Java packages (Maven)",
    "apt": "Debian and Ubuntu packages",
    "go": "Go modules",
    "cargo": "Rust crates",
    "rubygems": "Ruby gems",
    "apk": "Alpine packages",
    "rpm": "Fedora packages (RPM)",
    "homebrew": "Homebrew",
    "github": "GitHub: git and releases",
    "helm": "Helm charts",
    "nuget": ".NET packages (NuGet)",
    "terraform": "Terraform and OpenTofu providers",
    "composer": "PHP packages (Composer)",
    "nix": "Nix",
    "pub": "Dart and Flutter packages",
    "hex": "Elixir and Erlang packages (Hex)",
    "jsr": "JavaScript packages (JSR)",
    "julia": "Julia packages",
    "cpan": "Perl modules (CPAN)",
    "luarocks": "Lua rocks",
    "conan": "C and C++ packages (Conan)",
    "hackage": "Haskell packages",
    "modelscope": "ModelScope models and datasets",
    "pytorch": "PyTorch's models",
    "astral": "uv's Pythons",
    "nodejs": "Node.js itself",
    "rust": "Rust itself",
    "playwright": "Playwright's browsers",
    "swift": "Swift packages",
    "cocoapods": "CocoaPods",
    "vcpkg": "C and C++ sources (vcpkg)",
    "models": "Models of other places",
}
#: Pages are made for each address by which people come here; of so many they are kept.
_MOST_PAGES = 256
_HTML = "text/html; charset=utf-8"
_SCRIPT = '<script src="{up}copy.js" defer></script>'
_PROXY = "proxy"


@frozen
class Offer:
    """What a configuration serves: clients by world, and where worlds are."""

    worlds: tuple[tuple[str, tuple[str, ...]], ...]
    moved: dict[str, str]
    #: Whether the mirror is a forward proxy, too.
    forward: bool

    @property
    def clients(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(client for _, clients in self.worlds for client in clients)


def offer_of(rules: Iterable[Rule], forward: bool) -> Offer:
    """What these rules serve."""
    rules = tuple(rules)
    clients = set(offered(rules))
    worlds = []
    for world in WORLDS:
        own = tuple(client for client in world.clients if client in clients)
        if own:
            worlds.append((TITLES.get(world.name, world.name), own))
    return Offer(tuple(worlds), moved(rules), forward)


class Welcome:
    """Answers for the rules in force; ``rules`` and ``forward`` are those of this moment."""

    def __init__(self, rules: Callable[[], tuple[Rule, ...]], forward: Callable[[], bool]) -> None:
        self._rules = rules
        self._forward = forward
        self._made_of: tuple[tuple[Rule, ...], bool] | None = None
        self._offer = Offer((), {}, False)
        self._pages: LRU[tuple[str, str, bool], bytes | None] = LRU(_MOST_PAGES)

    def answer(self, path: str, base: str, *, administered: bool) -> Answer | None:
        """The page at a path for those who reach the mirror by a base URL; None for no such page.

        ``administered`` says that the administration is at the same address.
        """
        if path == PLACE:
            return moved_to(f"{PLACE}/", path)
        if path in (f"{PLACE}/setup", f"{PLACE}/setup/"):
            return moved_to(f"{PLACE}/#clients", path)
        self._look()
        name = (path, base, administered)
        body = self._pages.get(name)
        if body is None:
            body = self._page(path, base, administered)
            if body is None:
                return None
            self._pages.put(name, body)
        return answered(body, _HTML, "no-store")

    def _look(self) -> None:
        """Forget what was made of other rules."""
        made_of = (self._rules(), self._forward())
        known = self._made_of
        if known is None or known[0] is not made_of[0] or known[1] != made_of[1]:
            self._made_of = made_of
            self._offer = offer_of(*made_of)
            self._pages.clear()

    def _page(self, path: str, base: str, administered: bool) -> bytes | None:
        links = [("admin/", "Administration")] if administered else []
        if path == f"{PLACE}/":
            title, content, up = "What this mirror serves", _served(self._offer, base), ""
            links = [("./", "What is here"), *links]
            own = menu(links, "./")
        else:
            client = path.removeprefix(f"{PLACE}/setup/")
            there = client in self._offer.clients or (client == _PROXY and self._offer.forward)
            if not there:
                return None
            title, up = f"Set up {_TITLES.get(client, client)}", "../"
            content = _client(client, Address(base, self._offer.moved))
            own = menu([("../", "What is here"), *((f"../{link}", text) for link, text in links)])
        return page(
            title=title,
            up=up,
            menu=own,
            content=content,
            script=_SCRIPT.format(up=up),
            home=up or "./",
            version="",
        )


_TITLES = {_PROXY: "any other HTTP client"}


def _served(offer: Offer, base: str) -> str:
    rows = [
        f'<tr><th scope="row">{escape(title)}</th><td>{_links(clients)}</td></tr>'
        for title, clients in offer.worlds
    ]
    if offer.forward:
        rows.append(f'<tr><th scope="row">Anything over HTTP</th><td>{_links((_PROXY,))}</td></tr>')
    table = (
        '<div class="scroll" tabindex="0" role="region" aria-label="Table of clients"><table>'
        '<thead><tr><th scope="col">What</th><th scope="col">How to set up</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        if rows
        else '<p class="hint">No well-known client is served: ask who runs this mirror.</p>'
    )
    return (
        f'<section aria-labelledby="about"><h2 id="about">A mirror at <code>{escape(base)}</code>'
        "</h2><p>Point your package manager here, and what it downloads comes from this mirror: "
        "fetched once from where it is published, kept for all who want the same.</p></section>"
        f'<section id="clients" aria-labelledby="list"><h2 id="list">Clients</h2>{table}</section>'
    )


def _links(clients: Iterable[str]) -> str:
    return ", ".join(
        f'<a href="setup/{escape(client)}">{escape(_TITLES.get(client, client))}</a>'
        for client in clients
    )


def _client(client: str, mirror: Address) -> str:
    """What has to stand where, and the command that writes it."""
    status = '<p id="copied" role="status" class="hint"></p>'
    if client == _PROXY:
        text = f"export HTTPS_PROXY={mirror.url}\nexport HTTP_PROXY={mirror.url}\n"
        return f"<section><h2>In a shell</h2>{_copied('the settings', text)}{status}</section>"
    wanted = setting(client, mirror)
    command = f"aimirror setup {client} --write --url {mirror.url}\n"
    return (
        f"<section><h2>In <code>{escape(wanted.path)}</code></h2>"
        f"{_copied('the settings', wanted.text)}{_note(wanted)}{status}</section>"
        "<section><h2>Or let a command write it</h2>"
        f"{_copied('the command', command)}"
        "<p class=hint>It keeps all else that is in the file, and <code>--undo</code> takes it "
        "back. The command comes with <code>pipx install aimirror</code>.</p></section>"
    )


def _note(wanted: Setting) -> str:
    return f"<p>{escape(wanted.note)}</p>" if wanted.note else ""


def _copied(what: str, text: str) -> str:
    return f'<pre tabindex="0" data-copy="{escape(what)}">{escape(text)}</pre>'
