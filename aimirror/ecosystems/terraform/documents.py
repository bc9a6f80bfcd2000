"""What provider and module registries say.

Source: the Terraform documentation, "Provider Registry Protocol", "Module Registry Protocol" and
"Module Sources"; addresses of modules are those of go-getter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

from attrs import frozen

from aimirror.http.json_text import parse_json
from aimirror.routing.digests import Digest, parse

#: ``git::URL//FOLDER?QUERY``: how it is fetched, the URL, the folder in what it leads to.
_ADDRESS = re.compile(
    r"(?P<way>[a-z0-9]+::)?(?P<url>https?://[^/?]+(?:/[^/?]+)*/?)(?P<below>//[^?]*)?(?P<query>\?.*)?"
)
_COMMIT = re.compile(r"(?:\?|.*&)ref=([0-9a-f]{40}|v?[0-9]+\.[0-9]+\.[0-9]+[\w.+-]*)")
_GITHUB = re.compile(r"https?://github\.com/[^/]+/[^/]+?(?:\.git)?/?")


@frozen
class Archive:
    """Where a provider's archive is, and what it hashes to."""

    url: str
    digest: Digest


def versions(document: bytes) -> dict[str, list[str]]:
    """The versions of a provider, with the ``OS_ARCH`` of each; ValueError for no such document."""
    value = parse_json(document)
    listed = value.get("versions") if isinstance(value, dict) else None
    if not isinstance(listed, list):
        raise ValueError("no list of versions")
    table = {}
    for each in listed:
        version = str(each.get("version", "")) if isinstance(each, dict) else ""
        if version:
            table[version] = list(_platforms(each.get("platforms")))
    return table


def _platforms(listed: object) -> Iterator[str]:
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict):
            yield f"{each.get('os', '')}_{each.get('arch', '')}"


def archive(document: bytes) -> Archive:
    """What a registry says of one archive; ValueError when it says too little."""
    value = parse_json(document)
    values = value if isinstance(value, dict) else {}
    digest = parse("sha256", str(values.get("shasum", "")))
    url = str(values.get("download_url", ""))
    if digest is None or not url.startswith(("https://", "http://")):
        raise ValueError("no archive with a digest")
    return Archive(url, digest)


def module_address(text: str, home: Callable[[str], str], *, public: bool) -> str:
    """Where a module is, led to the mirror by ``home``, which takes a URL; "" leaves it as it is.

    A repository at GitHub of a ``public`` registry becomes the archive of its commit or release:
    what git brings passes through and is not kept.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None:
        return text
    way, url, below, query = (match[name] or "" for name in ("way", "url", "below", "query"))
    commit = _COMMIT.match(query)
    if public and way in ("", "git::") and commit and _GITHUB.fullmatch(url):
        base = url.rstrip("/").removesuffix(".git")
        led = home(f"{base}/archive/{commit[1]}.tar.gz")
        # the archive has one folder, which is the repository
        return f"{led}//*{below.removeprefix('/')}?archive=tar.gz" if led else text
    led = home(url)
    return f"{way}{led}{below}{query}" if led else text


def with_location(document: bytes, change: Callable[[str], str]) -> bytes:
    """The answer to where a module is, its ``location`` changed; others stay as they are."""
    try:
        value = parse_json(document)
    except ValueError:
        return document
    place = value.get("location") if isinstance(value, dict) else None
    if not isinstance(place, str):
        return document
    return json.dumps({**value, "location": change(place)}).encode()
