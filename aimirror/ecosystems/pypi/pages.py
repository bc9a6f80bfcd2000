"""The simple repository API (PEP 503, 592, 629, 658, 691, 700, 714): names, types, pages."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urljoin

from attrs import frozen

from aimirror.ecosystems.pypi.names import METADATA, name_of, normalised, version_of
from aimirror.http.json_text import parse_json
from aimirror.indexes.digest_table import DigestTable
from aimirror.routing.digests import ALGORITHMS, Digest, parse

JSON = "application/vnd.pypi.simple.v1+json"
_V1_HTML = "application/vnd.pypi.simple.v1+html"
HTML = "text/html"
#: What is asked of an index for a client that likes a type best.  Few spellings make few copies.
_ASKED = {
    JSON: f"{JSON}, {_V1_HTML};q=0.2, {HTML};q=0.01",
    _V1_HTML: f"{_V1_HTML}, {HTML};q=0.2",
    HTML: HTML,
}
#: The same types, the one first that clients without any preference get.
_TYPES = (HTML, _V1_HTML, JSON)
#: Values of Accept that are kept in mind: a client sends the same with each request.
KEPT = 64
_WILD = ("*/*", "application/*", "text/*")

#: The best first.
_STRONGEST = ("sha256", "sha512", "blake2b-256", "sha1", "md5")


@lru_cache(KEPT)
def asked(accept: str) -> str:
    """What to ask of an index for a client's Accept (PEP 691; RFC 9110 section 12.5.1)."""
    weights = dict(_weights(accept)) or {HTML: 1.0}
    return _ASKED[max(_TYPES, key=lambda kind: _weight(weights, kind))]


@lru_cache(KEPT)
def takes_json(accept: str) -> bool:
    """Whether a client's Accept allows a page as JSON."""
    return _weight(dict(_weights(accept)) or {HTML: 1.0}, JSON) > 0


def digests(data: bytes, url: str) -> Mapping[str, Digest]:
    """What a page, whose own URL is this, says of files and their sidecars, by their ``name_of``.

    Raises ValueError for what is no page.
    """
    table: dict[str, Digest] = {}
    for link in _links(data, url):
        if link.digest is not None:
            table[name_of(link.url)] = link.digest
        if link.metadata is not None:
            table[name_of(link.url) + METADATA] = link.metadata
    return table


def table(data: bytes, url: str) -> bytes:
    """The same as a dumped DigestTable; what is no page says nothing."""
    try:
        return DigestTable([digests(data, url)]).dump()
    except ValueError:
        return DigestTable(()).dump()


@frozen
class Page:
    """A page without what is too young; how many files are left out, and how many of them
    because the index does not say when they came.
    """

    data: bytes
    hidden: int
    undated: int


def older(data: bytes, before: float) -> Page:
    """A JSON page without files uploaded after a time (epoch seconds), or at an unknown one.

    Versions that have no file left are left out, too.  Raises ValueError for what is no JSON page.
    """
    page = _object(data)
    kept, hidden, undated = [], set(), 0
    for file in page.get("files", []):
        uploaded = _uploaded(file)
        if uploaded is not None and uploaded <= before:
            kept.append(file)
            continue
        undated += uploaded is None
        hidden.add(str(file.get("filename", "")))
    if not hidden:
        return Page(data, 0, 0)
    shown = {version_of(str(file.get("filename", ""))) for file in kept}
    gone = {version_of(name) for name in hidden} - shown
    page["files"] = kept
    if isinstance(page.get("versions"), list):
        page["versions"] = [each for each in page["versions"] if str(each) not in gone]
    return Page(json.dumps(page, ensure_ascii=False).encode(), len(hidden), undated)


def older_packed(data: bytes, before: str) -> bytes:
    """``older``, its arguments and result as text and bytes."""
    page = older(data, float(before))
    return b"%d %d\n" % (page.hidden, page.undated) + page.data


def unpacked(packed: bytes) -> Page:
    """The page that ``older_packed`` gave."""
    counts, _, data = packed.partition(b"\n")
    hidden, undated = map(int, counts.split())
    return Page(data, hidden, undated)


def as_html(data: bytes) -> bytes:
    """A JSON page, of a project or of all projects, as HTML (PEP 503); ValueError for no page."""
    page = _object(data)
    version = html.escape(str(page.get("meta", {}).get("api-version", "1.0")))
    lines = [
        "<!DOCTYPE html>",
        f'<html><head><meta name="pypi:repository-version" content="{version}"></head><body>',
        *(_anchor(file) for file in page.get("files", [])),
        *(_project(each) for each in page.get("projects", [])),
        "</body></html>",
    ]
    return "\n".join(lines).encode()


@frozen
class _Link:
    url: str
    digest: Digest | None
    metadata: Digest | None


def _links(data: bytes, url: str) -> Iterator[_Link]:
    if data.lstrip()[:1] != b"{":
        yield from _anchors(data.decode("utf-8", "replace"), url)
        return
    for file in _object(data).get("files", []):
        target = str(file.get("url", ""))
        if not _is_http(target):
            target = urljoin(url, target)
        if _is_http(target):
            yield _Link(target, _strongest(file.get("hashes")), _strongest(_sidecar(file)))


def _anchors(text: str, base: str) -> Iterator[_Link]:
    """The links of an HTML page, in time that grows with its length alone.

    Only the first <base> counts (HTML Standard section 4.2.3).
    """
    based = False
    for tag, attributes in _tags(text):
        href = attributes.get("href", "")
        if not href or len(href) > _LONGEST:
            continue
        if tag == "base" and not based:
            based, base = True, urljoin(base, href)[:_LONGEST]
        if tag != "a":
            continue
        target, _, fragment = urljoin(base, href).partition("#")
        if _is_http(target):
            sidecar = attributes.get("data-core-metadata") or attributes.get(
                "data-dist-info-metadata"
            )
            yield _Link(target, _labelled(fragment), _labelled(sidecar or ""))


#: Characters of a link, and of any attribute, that are looked at; real ones have some hundred.
_LONGEST = 4096
#: Attributes of one tag.
_MOST_ATTRIBUTES = 32
_TAG = re.compile(r"<(a|base)(?=[\s/])", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    r"""[\s/]{0,256}([^\s"'<>/=]{1,256})(?:\s{0,256}=\s{0,256}"""
    r"""(?:"([^"]{0,4096})"|'([^']{0,4096})'|([^\s"'<>=`]{1,4096})))?"""
)


def _tags(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Each <a> and <base> with its attributes; of repeated ones the first counts."""
    at = 0
    while (tag := _TAG.search(text, at)) is not None:
        at, attributes = tag.end(), dict[str, str]()
        for _ in range(_MOST_ATTRIBUTES):
            match = _ATTRIBUTE.match(text, at)
            if match is None:
                break
            at = match.end()
            value = next((v for v in match.group(2, 3, 4) if v is not None), "")
            attributes.setdefault(match[1].lower(), html.unescape(value))
        yield tag[1].lower(), attributes


def _is_http(url: str) -> bool:
    return url.startswith(("http://", "https://"))


def _labelled(text: str) -> Digest | None:
    for member in text.split("&"):
        algorithm, _, value = member.partition("=")
        if algorithm in ALGORITHMS:
            return parse(algorithm, value)
    return None


def _strongest(hashes: object) -> Digest | None:
    by_algorithm = hashes if isinstance(hashes, dict) else {}
    for algorithm in _STRONGEST:
        value = by_algorithm.get(algorithm)
        digest = parse(algorithm, str(value)) if value else None
        if digest is not None:
            return digest
    return None


def _sidecar(file: Mapping[str, Any]) -> object:
    """PEP 714: the new name first."""
    return file.get("core-metadata", file.get("dist-info-metadata"))


def _anchor(file: Mapping[str, Any]) -> str:
    digest = _strongest(file.get("hashes"))
    fragment = f"#{digest.algorithm}={digest.hex}" if digest else ""
    attributes = {"href": f"{file.get('url', '')}{fragment}"}
    if file.get("requires-python"):
        attributes["data-requires-python"] = str(file["requires-python"])
    if file.get("yanked"):
        attributes["data-yanked"] = file["yanked"] if isinstance(file["yanked"], str) else ""
    sidecar = _sidecar(file)
    if sidecar:
        known = _strongest(sidecar)
        value = f"{known.algorithm}={known.hex}" if known else "true"
        attributes["data-core-metadata"] = attributes["data-dist-info-metadata"] = value
    if file.get("provenance"):
        attributes["data-provenance"] = str(file["provenance"])
    if "gpg-sig" in file:
        attributes["data-gpg-sig"] = "true" if file["gpg-sig"] else "false"
    pairs = " ".join(f'{name}="{html.escape(value)}"' for name, value in attributes.items())
    return f"<a {pairs}>{html.escape(str(file.get('filename', '')))}</a><br>"


def _project(project: Mapping[str, Any]) -> str:
    name = str(project.get("name", ""))
    return f'<a href="{html.escape(normalised(name))}/">{html.escape(name)}</a><br>'


def _uploaded(file: Mapping[str, Any]) -> float | None:
    try:
        uploaded = datetime.fromisoformat(str(file.get("upload-time", "")))
    except ValueError:
        return None
    return (uploaded if uploaded.tzinfo is not None else uploaded.replace(tzinfo=UTC)).timestamp()


def _object(data: bytes) -> dict[str, Any]:
    """A JSON page; raises ValueError for anything that has not the shape of one."""
    value = parse_json(data)
    shaped = isinstance(value, dict) and isinstance(value.get("meta", {}), dict)
    if not shaped or not all(_objects(value.get(name, [])) for name in ("files", "projects")):
        raise ValueError("not a page")
    return dict(value)


def _objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _weights(accept: str) -> Iterator[tuple[str, float]]:
    for member in accept.lower().split(","):
        kind, _, rest = member.partition(";")
        match = re.search(r"(?:^|;)\s*q\s*=\s*([0-9.]+)", rest)
        try:
            weight = float(match[1]) if match is not None else 1.0
        except ValueError:
            weight = 0.0
        if kind.strip():
            yield kind.strip().replace(".latest+", ".v1+"), weight


def _weight(weights: Mapping[str, float], kind: str) -> float:
    """The most specific member counts."""
    wild = next((w for w in _WILD[1:] if kind.startswith(w[:-1]) and w in weights), _WILD[0])
    return weights.get(kind, weights.get(wild, 0.0))
