"""Lock files of package managers: which files they name.

Those in YAML are read line by line: they are made by programs, always alike, and may be large.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from xml.etree import ElementTree

from aimirror.admin.prefetch_lists import (
    MOST_ITEMS,
    BadList,
    Interpreter,
    Items,
    Project,
    normalised,
    package_lock,
    requirements,
    toml,
    uv_lock,
)

NPM = "https://registry.npmjs.org"
CRATES = "https://static.crates.io/crates"
GO = "https://proxy.golang.org"
MAVEN = "https://repo.maven.apache.org/maven2"
#: Another name of npm's registry, which yarn writes.
_YARN = "https://registry.yarnpkg.com"

_Reader = Callable[[str, Interpreter], Items]


def items(name: str, text: str, interpreter: Interpreter) -> Items:
    """What a file of this name lists; raises BadList for one of another kind."""
    reader = _reader(name)
    if reader is None:
        known = ", ".join(sorted({*_BY_NAME, "*.txt"}))
        raise BadList(f"{name!r} is no list that is known; allowed: {known}")
    listed = reader(text, interpreter)
    if len(listed.projects) + len(listed.urls) > MOST_ITEMS:
        raise BadList(f"more than {MOST_ITEMS} files")
    return listed


def is_list(name: str) -> bool:
    """Whether a file's name is that of a list that can be read."""
    return _reader(name) is not None


def _reader(name: str) -> _Reader | None:
    plain = name.rpartition("/")[2]
    if plain.endswith(".txt"):
        return lambda text, interpreter: requirements(text)
    if re.fullmatch(r"(.*[-.])?conda-lock\.ya?ml", plain):
        return _conda_lock
    return _BY_NAME.get(plain)


# -- Python ------------------------------------------------------------------------------------


def _poetry(text: str, interpreter: Interpreter) -> Items:
    """``poetry.lock`` and ``pdm.lock``: names, versions and hashes; pdm may tell URLs."""
    lock = toml(text)
    metadata = lock.get("metadata")
    files_apart = metadata.get("files") if isinstance(metadata, dict) else None
    projects, links, skipped = [], [], []
    for package in _tables(lock.get("package")):
        name, version = str(package.get("name", "")), str(package.get("version", ""))
        if isinstance(package.get("source"), dict) and package["source"].get("type") != "legacy":
            skipped.append(name)
            continue
        if package.keys() & {"git", "path"}:  # as pdm tells of its own and of repositories
            continue
        files = package.get("files") or (files_apart or {}).get(name)
        urls = [f["url"] for f in _tables(files) if isinstance(f.get("url"), str)]
        if urls:
            links += [url for url in urls if interpreter.takes(url.rpartition("/")[2])]
            continue
        hashes = frozenset(str(f["hash"]) for f in _tables(files) if "hash" in f)
        projects.append(Project(normalised(name), f"=={version}", hashes))
    return Items(tuple(projects), tuple(links), tuple(skipped))


# -- JavaScript --------------------------------------------------------------------------------

_PNPM_KEY = re.compile(r"^  '?/?((?:@[^/@']+/)?[^/@'(]+)[@/](\d[^:'(/]*)(?:\([^:]*\))?'?:\s*$")
_PNPM_ENTRY = re.compile(r"^  \S.*:\s*$")
_PNPM_TARBALL = re.compile(r"^    resolution: \{.*\btarball: '?(https?://[^,}' ]+)")
_YARN_RESOLVED = re.compile(r'^  resolved "(https?://[^"#]+)')
_BERRY = re.compile(r'^  resolution: "((?:@[^/@"]+/)?[^@"]+)@npm:([^"]+)"')


def _tarball(name: str, version: str) -> str:
    return f"{NPM}/{name}/-/{name.rpartition('/')[2]}-{version}.tgz"


def _pnpm(text: str, interpreter: Interpreter) -> Items:
    """``pnpm-lock.yaml``: the keys below ``packages``, and the tarballs that it names itself."""
    links: list[str] = []
    inside = False
    for line in text.splitlines():
        if line and not line[0].isspace():
            inside = line.startswith("packages:")
        elif inside and _PNPM_ENTRY.match(line):
            key = _PNPM_KEY.match(line)
            links.append(_tarball(key[1], key[2]) if key is not None else "")
        elif inside and links and (match := _PNPM_TARBALL.match(line)) is not None:
            links[-1] = match[1]
    return Items(urls=tuple(dict.fromkeys(filter(None, links))))


def _yarn(text: str, interpreter: Interpreter) -> Items:
    """``yarn.lock`` of yarn 1 (``resolved``) and of later ones (``resolution``)."""
    links = []
    for line in text.splitlines():
        if (match := _YARN_RESOLVED.match(line)) is not None:
            links.append(match[1].replace(_YARN, NPM, 1))
        elif (named := _BERRY.match(line)) is not None:
            links.append(_tarball(named[1], named[2].partition(":")[0]))
    return Items(urls=tuple(dict.fromkeys(links)))


# -- others ------------------------------------------------------------------------------------

_CONDA_URL = re.compile(r"^\s*(?:- )?url: [\"']?(https?://[^\s\"'#]+)", re.MULTILINE)
_GO_SUM = re.compile(r"(\S+) (v[^\s/]+)(/go\.mod)? h1:\S+")


def _conda_lock(text: str, interpreter: Interpreter) -> Items:
    """``conda-lock.yml``: the URL of each package, for all of its platforms or one."""
    platform = interpreter.platform.replace("linux_x86_64", "linux-64").replace("_", "-")
    links = dict.fromkeys(_CONDA_URL.findall(text))
    if platform:
        links = dict.fromkeys(u for u in links if f"/{platform}/" in u or "/noarch/" in u)
    return Items(urls=tuple(links))


def _cargo(text: str, interpreter: Interpreter) -> Items:
    """``Cargo.lock``: the crates of crates.io."""
    links, skipped = [], []
    for package in _tables(toml(text).get("package")):
        source = package.get("source")
        if not isinstance(source, str):  # the project's own
            continue
        if "crates.io-index" in source or source.endswith("index.crates.io/"):
            links.append(f"{CRATES}/{package.get('name')}/{package.get('version')}/download")
        else:
            skipped.append(str(package.get("name")))
    return Items(urls=tuple(links), skipped=tuple(skipped))


def _go_sum(text: str, interpreter: Interpreter) -> Items:
    """``go.sum``: the zip of each module, and the ``.mod`` and ``.info`` that go asks for."""
    links: dict[str, None] = {}
    for line in text.splitlines():
        match = _GO_SUM.fullmatch(line.strip())
        if match is None:
            continue
        module = re.sub(r"[A-Z]", lambda letter: f"!{letter[0].lower()}", match[1])
        base = f"{GO}/{module}/@v/{match[2]}"
        for ending in (".mod",) if match[3] else (".info", ".zip"):
            links[base + ending] = None
    return Items(urls=tuple(links))


def _pom(text: str, interpreter: Interpreter) -> Items:
    """``pom.xml``: its parent, and the dependencies whose versions it tells; not theirs in turn."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise BadList("it declares entities")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise BadList(f"no XML: {error}") from None
    values = {f"project.{each.tag.rpartition('}')[2]}": each.text or "" for each in root}
    values |= {e.tag.rpartition("}")[2]: e.text or "" for e in root.findall("{*}properties/*")}
    links, skipped = [], []
    for kind in ("{*}parent", "{*}dependencies/{*}dependency", "{*}build/{*}plugins/{*}plugin"):
        for element in root.findall(kind):
            fields = {e.tag.rpartition("}")[2]: _filled(e.text or "", values) for e in element}
            group = fields.get("groupId", "org.apache.maven.plugins")
            name, version = fields.get("artifactId", ""), fields.get("version", "")
            if not name or not version or "$" in f"{group}{name}{version}":
                skipped.append(f"{group}:{name}")
                continue
            base = f"{MAVEN}/{group.replace('.', '/')}/{name}/{version}/{name}-{version}"
            links.append(f"{base}.pom")
            if kind != "{*}parent" and fields.get("type", "jar") != "pom":
                links.append(f"{base}.{fields.get('type', 'jar')}")
    return Items(urls=tuple(links), skipped=tuple(skipped))


def _filled(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\$\{([^}]+)\}", lambda m: values.get(m[1], m[0]), text.strip())


def _tables(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        yield from (each for each in value if isinstance(each, dict))


_BY_NAME: Mapping[str, _Reader] = {
    "poetry.lock": _poetry,
    "pdm.lock": _poetry,
    "uv.lock": uv_lock,
    "package-lock.json": lambda text, interpreter: package_lock(text),
    "npm-shrinkwrap.json": lambda text, interpreter: package_lock(text),
    "pnpm-lock.yaml": _pnpm,
    "yarn.lock": _yarn,
    "conda-lock.yml": _conda_lock,
    "Cargo.lock": _cargo,
    "go.sum": _go_sum,
    "pom.xml": _pom,
}
