"""npm registries: which document names a tarball's digest, and what it says.

Source: the registry's package metadata (github.com/npm/registry, docs/responses) and Subresource
Integrity, whose notation ``integrity`` uses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row, World
from aimirror.http.headers import Headers
from aimirror.http.json_text import members
from aimirror.indexes.reading import Files, Places, Reading
from aimirror.routing.digests import Digest, parse
from aimirror.settings import lines, toml, yaml
from aimirror.settings.setting import Address, Setting

#: ``/@scope/name/-/name-1.0.0.tgz`` behind whatever base, the scope's slash encoded or not.
_TARBALL = re.compile(r"(.+?)/((?:@[^/]+/)?[^/]+)/-/([^/]+\.tgz)")
#: A package's document as npm asks for it where it installs, and where it shows.
SHORT = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*"
FULL = "application/json"
#: The strongest first.
_STRENGTH = ("sha512", "sha256", "sha1")


def tarball(url: str) -> str:
    """The file name of a tarball's URL, "" for other URLs."""
    match = _TARBALL.fullmatch(url)
    return match[3] if match else ""


def indexes(url: str) -> tuple[str, ...]:
    """The URLs of the documents that may describe a tarball."""
    match = _TARBALL.fullmatch(url)
    if match is None:
        return ()
    name = match[2]
    return (f"{match[1]}/{name.replace('/', '%2F')}", f"{match[1]}/{name}")


def _places(url: str) -> Places:
    name = tarball(url)
    return ((index, name) for index in indexes(url))


def _expected(headers: Headers) -> Digest | None:
    """What npm says itself, where it has not asked for a document."""
    return integrity(headers.get("pacote-integrity", "") or "")


def form(path: str, headers: Headers) -> str:
    """By what a registry chooses a package's short document or its full one; "" elsewhere.

    Some registries that know both don't say that they choose.
    """
    if "/-/" in path:
        return ""
    return SHORT if SHORT.partition(";")[0] in (headers.joined("accept") or "").lower() else FULL


def document_path(path: str, prefix: str) -> str:
    """The path by which clients ask for a scoped package's document, however people write it.

    "" for other paths.
    """
    match = re.fullmatch(re.escape(prefix.rstrip("/")) + r"/(@[^/%]+)(?:/|%2[Ff])([^/%]+)", path)
    return f"{prefix.rstrip('/')}/{match[1]}%2F{match[2]}" if match else ""


def usual_path(path: str, prefix: str) -> str:
    """The path of what npm 10 asks for below the prefix of its registry twice; "" for others.

    It takes the whole path of a link in a document for one below the registry, and attestations
    have such links.
    """
    doubled = f"{prefix}{prefix}/-/"
    return path.removeprefix(prefix) if prefix and path.startswith(doubled) else ""


def integrity(value: str) -> Digest | None:
    """The strongest digest of Subresource Integrity metadata such as ``sha512-BASE64``."""
    table = {}
    for member in value.split():
        algorithm, _, encoded = member.partition("?")[0].partition("-")
        digest = parse(algorithm, encoded) if algorithm in _STRENGTH else None
        if digest is not None:
            table[algorithm] = digest
    return next((table[name] for name in _STRENGTH if name in table), None)


def digests(document: bytes) -> dict[str, Digest]:
    """What a package's document, full or abbreviated, says of its tarballs, by file name."""
    table = {}
    for dist in _dists(document):
        name = str(dist.get("tarball", "")).partition("?")[0].rpartition("/")[2]
        digest = integrity(str(dist.get("integrity", ""))) or parse(
            "sha1", str(dist.get("shasum", ""))
        )
        if name and digest is not None:
            table[name] = digest
    return table


def _dists(document: bytes) -> Iterable[dict[str, object]]:
    for version in members(document, "versions").values():
        dist = version.get("dist") if isinstance(version, dict) else None
        if isinstance(dist, dict):
            yield dist


_PRESETS = r"""
npm: # npm, pnpm and yarn: registry http://MIRROR/registry/npm
  - &npm
    name: -files
    path_prefix: /registry/npm
    strip_prefix: true
    upstream: "https://registry.npmjs.org"
    ecosystem: npm # sha512 of tarballs from the documents that name them
    public: true # one copy for users with and without a token, where both are given the same
    pattern: '/-/[^/]+\.tgz$'
    strategy: parallel
    immutable: true
    reject_types: [text/html]
  - <<: *npm
    name: -signatures # by what keys a registry signs, and who attests to what
    pattern: '/-/npm/v1/(keys$|attestations/)'
    strategy: proxy
    immutable: false
    reject_types: []
    cache: {ttl: 1h, stale_if_error: 7d}
  - <<: *npm
    name: -api # who am I, tags, search, audit: answers for now, and for whoever asks
    pattern: '/-/'
    strategy: proxy
    public: false
    immutable: false
    reject_types: []
    cache: {ttl: 0s}
  - <<: *npm
    name: ""
    pattern: "^/"
    strategy: proxy
    immutable: false
    reject_types: []
    content_rewrite: {members: [tarball]} # what is not a download is left alone
    cache: {ttl: 5m, stale_if_error: 7d}
"""


def _npm(mirror: Address) -> Setting:
    registry = f"{mirror.at('/registry/npm')}/"
    return Setting(
        "~/.npmrc",
        f"registry={registry}\n",
        lines.keys({"registry": registry}),
        "npm and pnpm read it; for yarn: aimirror setup yarn",
        probe=f"{registry}is-odd",
    )


def _yarn(mirror: Address) -> Setting:
    registry = mirror.at("/registry/npm")

    def change(document: Any) -> None:
        document["npmRegistryServer"] = registry
        name = mirror.host.partition(":")[0]
        if mirror.plain and name not in yaml.listed(document, "unsafeHttpWhitelist"):
            document["unsafeHttpWhitelist"].append(name)

    berry = Setting("~/.yarnrc.yml", "", yaml.edited(change))
    return Setting(
        "~/.yarnrc",
        f'registry "{registry}/"\n',
        lines.keys({"registry": f'"{registry}/"'}, separator=" ", comments="#"),
        "yarn 2 and later read ~/.yarnrc.yml, which is changed where it is there",
        probe=f"{registry}/is-odd",
        also=(("~/.yarnrc.yml", berry),),
    )


def _bun(mirror: Address) -> Setting:
    registry = f"{mirror.at('/registry/npm')}/"

    def change(document: Any) -> None:
        if "install" not in document:
            document["install"] = toml.new_table()
        document["install"]["registry"] = registry

    text = f'[install]\nregistry = "{registry}"\n'
    return Setting("~/.bunfig.toml", text, toml.edited(change), probe=f"{registry}is-odd")


WORLD = World(
    name="npm",
    package=named_by(
        r"https?://[^/]+/(?:.*?/)??(?P<name>(?:@[^/]+/)?(?P<base>[^/@]+))/-/(?P=base)-(?P<version>[^/]+)\.tgz",
        r"https?://[^/]+/(?:[^@]*/)?(?P<name>@[^/]+/[^/]+|[^/]+)",
    ),
    presets=_PRESETS,
    clients={"npm": _npm, "pnpm": _npm, "yarn": _yarn, "bun": _bun},
    knowledge=Files(
        places=_places,
        reading=Reading(digests),
        expected=_expected,
        usual=usual_path,
        form=form,
        accept=SHORT,
    ),
    page_path=document_path,
    row=Row(
        clients="npm, pnpm, yarn, bun",
        at="`/registry/npm`",
        checked="sha512 (or sha1) of the package's document, where it was asked for",
        changes="documents, 5 min or as the registry says",
    ),
)
