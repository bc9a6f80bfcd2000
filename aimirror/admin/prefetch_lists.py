"""What to fetch ahead: lists of files in the formats in which people have them.

Everything here reads text and gives URLs or names; asking is somebody else's work.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote

from attrs import frozen

from aimirror.http import urls
from aimirror.http.json_text import parse_json
from aimirror.routing.mounts import Mount, mounts
from aimirror.routing.rules import Rule

#: Things that one list may name; more are a mistake.
MOST_ITEMS = 20_000

#: Kinds of sources in uv.lock that are folders beside it, such as the locked project's own.
_OWN_SOURCES = frozenset({"virtual", "editable", "directory"})

_NAME = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[([^\]]*)\])?\s*(.*)")
_HASH = re.compile(r"--hash[= ]([a-z0-9]+):([0-9a-fA-F]+)")
_OPTION = re.compile(r"\s--?[a-z][a-z-]*.*$")
_COMMENT = re.compile(r"(^|\s)#.*$")
_WHEEL = re.compile(r".+-([^-]+)-([^-]+)-([^-]+)\.whl", re.IGNORECASE)
_REPOSITORY = re.compile(r"(?:(datasets|spaces|models)/)?([\w.-]+(?:/[\w.-]+)?)(?:@([\w./-]+))?")
_IMAGE = re.compile(r"([a-z0-9./:_-]+?)(?::([A-Za-z0-9_][\w.-]{0,127}))?(?:@(sha\d+:[0-9a-f]+))?")


class BadList(ValueError):
    """A list that can't be read; the text says why."""


@frozen
class Project:
    """A project of a Python index: its normalised name, and which of its files are wanted."""

    name: str
    #: Version specifiers as PEP 440 writes them, "" for the newest.
    specifier: str = ""
    #: ``algorithm:hex`` of the files; nothing but these when there are any.
    hashes: frozenset[str] = frozenset()
    extras: frozenset[str] = frozenset()
    #: The condition under which it is wanted (PEP 508).
    marker: str = ""


@frozen
class Items:
    """What a list names; ``skipped`` are lines that ask for what no mirror has."""

    projects: tuple[Project, ...] = ()
    urls: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


@frozen
class Interpreter:
    """The machine that files are for; "" takes all."""

    #: Such as ``3.11``.
    python: str = ""
    #: Such as ``linux_x86_64`` or ``macosx_arm64``, and for images ``linux/amd64``.
    platform: str = ""

    def takes(self, filename: str) -> bool:
        """Whether a file of a Python index may be installed there (PEP 425, by its name)."""
        match = _WHEEL.fullmatch(filename)
        if match is None:
            return True
        pythons, abis, platforms = (tags.lower().split(".") for tags in match.groups())
        fits_python = not self.python or any(self._python(tag, abis) for tag in pythons)
        return fits_python and (not self.platform or any(map(self._platform, platforms)))

    def _python(self, tag: str, abis: list[str]) -> bool:
        major, _, minor = self.python.partition(".")
        if tag in (f"py{major}", f"py{major}{minor}", f"cp{major}{minor}"):
            return True
        stable = "abi3" in abis and tag.startswith(f"cp{major}") and tag[3:].isdecimal()
        return stable and int(tag[3:]) <= int(minor or 0)

    def _platform(self, tag: str) -> bool:
        system, _, machine = self.platform.replace("-", "_").replace("/", "_").partition("_")
        machine = {"amd64": "x86_64", "aarch64": "aarch64"}.get(machine, machine)
        if tag in ("any", self.platform):
            return True
        machines = (machine, "universal2") if system == "macosx" else (machine,)
        family = "manylinux" if system == "linux" else system
        return tag.startswith((family, system)) and tag.endswith(machines)


def normalised(name: str) -> str:
    """A project's name as indexes have it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(text: str) -> Items:
    """``requirements.txt`` as pip reads it; options and included files are skipped."""
    projects, links, skipped = [], [], []
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        line = _COMMENT.sub("", line).strip()
        if not line:
            continue
        hashes = frozenset(f"{kind}:{value.lower()}" for kind, value in _HASH.findall(line))
        wanted, _, marker = map(str.strip, _OPTION.sub("", line).partition(";"))
        match = _NAME.fullmatch(wanted)
        if wanted.startswith("-") or match is None:
            skipped.append(line[:200])
        elif match[3].startswith("@"):
            links.append(match[3][1:].strip())
        elif match[3] and match[3][0] not in "=<>!~(":
            skipped.append(line[:200])
        else:
            specifier = match[3].strip("() ").replace(" ", "")
            extras = frozenset(filter(None, map(str.strip, (match[2] or "").split(","))))
            projects.append(Project(normalised(match[1]), specifier, hashes, extras, marker))
    return _bounded(Items(tuple(projects), tuple(links), tuple(skipped)))


def toml(text: str) -> dict[str, Any]:
    """A document of TOML; raises BadList for one that can't be read."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadList(f"no TOML: {error}") from None


def uv_lock(text: str, interpreter: Interpreter) -> Items:
    """``uv.lock``: its files that suit the interpreter, sources where no wheel does."""
    packages = toml(text).get("package", [])
    links: list[str] = []
    skipped: list[str] = []
    for package in _mappings(packages):
        if isinstance(origin := package.get("source"), dict) and _OWN_SOURCES & origin.keys():
            continue
        wheels = [w["url"] for w in _mappings(package.get("wheels")) if "url" in w]
        fitting = [url for url in wheels if interpreter.takes(_filename(url))]
        source = package.get("sdist")
        if not fitting and isinstance(source, dict) and "url" in source:
            fitting = [source["url"]]
        if not fitting:
            skipped.append(str(package.get("name")))
        links += fitting
    return _bounded(Items(urls=tuple(links), skipped=tuple(skipped)))


def package_lock(text: str) -> Items:
    """``package-lock.json`` of npm, versions 1 to 3."""
    lock = _json(text)
    links: dict[str, None] = {}
    waiting = [lock.get("packages"), lock.get("dependencies")]
    while waiting:
        table = waiting.pop()
        for package in table.values() if isinstance(table, dict) else ():
            if isinstance(package, dict):
                resolved = package.get("resolved")
                if isinstance(resolved, str) and resolved.startswith("http"):
                    links[resolved] = None
                waiting.append(package.get("dependencies"))
    return _bounded(Items(urls=tuple(links)))


@frozen
class Repository:
    """A repository of Hugging Face: its kind (models, datasets or spaces), name and revision."""

    kind: str
    name: str
    revision: str = "main"

    @property
    def listing(self) -> str:
        """The path at which its files are listed."""
        return f"/api/{self.kind}/{self.name}/revision/{quote(self.revision, safe='')}"

    def files(self, answer: str, include: Iterable[str], exclude: Iterable[str]) -> list[str]:
        """The paths of its files; patterns are as in a shell.

        By the revision that was asked for: it is resolved to the commit under which files are
        kept, and both are known from then on, without the hub, too.
        """
        document = _json(answer)
        revision = quote(self.revision, safe="")
        prefix = "" if self.kind == "models" else f"/{self.kind}"
        include, exclude = tuple(include) or ("*",), tuple(exclude)
        names = []
        for sibling in _mappings(document.get("siblings")):
            name = str(sibling.get("rfilename", ""))
            wanted = any(fnmatchcase(name, pattern) for pattern in include)
            if name and wanted and not any(fnmatchcase(name, pattern) for pattern in exclude):
                names.append(f"{prefix}/{self.name}/resolve/{revision}/{quote(name)}")
        return _few(names)


def repository(text: str) -> Repository:
    """``owner/name``, ``datasets/owner/name``, each perhaps with ``@revision``."""
    match = _REPOSITORY.fullmatch(text.strip())
    if match is None:
        raise BadList(f"{text[:80]!r} is no repository, such as owner/name@main")
    return Repository(match[1] or "models", match[2], match[3] or "main")


@frozen
class Image:
    """An image: the repository as it stands below ``/v2/``, and a tag or digest."""

    name: str
    reference: str

    def manifest(self, reference: str = "") -> str:
        """The path of its manifest."""
        return f"/v2/{self.name}/manifests/{reference or self.reference}"

    def blob(self, digest: str) -> str:
        """The path of a blob."""
        return f"/v2/{self.name}/blobs/{digest}"


def image(text: str) -> Image:
    """An image reference as docker reads it; Docker Hub's are known by their name alone."""
    match = _IMAGE.fullmatch(text.strip())
    if match is None:
        raise BadList(f"{text[:80]!r} is no image, such as nginx:1.27 or ghcr.io/owner/name:tag")
    name = match[1]
    host, slash, rest = name.partition("/")
    registry = bool(slash) and ("." in host or ":" in host or host == "localhost")
    if registry and host in ("docker.io", "index.docker.io"):
        registry, name = False, rest
    if not registry and "/" not in name:
        name = f"library/{name}"
    return Image(name, match[3] or match[2] or "latest")


def bases(rules: Iterable[Rule]) -> tuple[Mount, ...]:
    """Which upstream URLs are served here, and where: whatever links are led here, then the bases
    of rules without a prefix, which serve their upstream's paths as they are.
    """
    rules = tuple(rules)
    plain = {
        urls.base(upstream): Mount(urls.base(upstream), "")
        for rule in rules
        if not rule.path_prefix
        for upstream in rule.upstreams
    }
    led = {mount.base: mount for mount in mounts(rules)}
    return tuple(sorted({**plain, **led}.values(), key=lambda mount: -len(mount.base)))


def served_path(url: str, served: Iterable[Mount]) -> str | None:
    """The path under which the mirror serves an upstream's URL; None when it does not."""
    url = url.partition("#")[0]
    for mount in served:
        rest = url.removeprefix(mount.base)
        if rest != url and rest.startswith(("/", "?")):
            return mount.prefix + rest
    return None


def _filename(url: str) -> str:
    return url.partition("?")[0].partition("#")[0].rpartition("/")[2]


def _json(text: str) -> dict[str, Any]:
    try:
        value = parse_json(text)
    except ValueError as error:
        raise BadList(f"no JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadList("the JSON is no object")
    return value


def _mappings(value: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def _few(items: list[Any]) -> list[Any]:
    if len(items) > MOST_ITEMS:
        raise BadList(f"more than {MOST_ITEMS} files")
    return items


def _bounded(items: Items) -> Items:
    _few([*items.projects, *items.urls])
    return items
