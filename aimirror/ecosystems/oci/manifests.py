"""What manifests name: the parts of an index, the blobs of an image.

Source: OCI Image Specification 1.1, "Image Index" and "Image Manifest"; Docker's manifests of
version 2 are alike.  Attestations are tied to their images as BuildKit does it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from aimirror.http.json_text import parse_json

#: Bytes of a manifest that is read; registries take none that are longer.
MOST_MANIFEST = 4 << 20
#: Parts and blobs of one manifest that are looked at.
MOST_PARTS = 20_000
#: The annotation that says which image an attestation is about.
_ABOUT = "vnd.docker.reference.digest"


@frozen
class Part:
    """A manifest that an index names."""

    digest: str
    #: os/architecture/variant, as far as it is said.
    platform: str = ""
    #: The digest of the manifest that it attests something of, "" for an image.
    about: str = ""


@frozen
class Manifest:
    """The parts of an index, or the blobs of an image by digest, with their sizes."""

    parts: tuple[Part, ...] = ()
    blobs: tuple[tuple[str, int], ...] = ()

    def chosen(self, platform: str) -> tuple[Part, ...]:
        """The parts for a platform, "" for all, with what attests something of them."""
        own = {p.digest for p in self.parts if not p.about and p.platform.startswith(platform)}
        return tuple(p for p in self.parts if (p.about or p.digest) in own)


def manifest(text: str | bytes) -> Manifest:
    """An OCI or Docker manifest or index; ValueError for what is none.

    Blobs that are elsewhere (``urls``) or in the manifest itself (``data``) are left out.
    """
    value = parse_json(text)
    if not isinstance(value, dict):
        raise ValueError("the JSON is no object")
    blobs: dict[str, int] = {}
    for each in _mappings([value.get("config"), *_mappings(value.get("layers"))]):
        size = each.get("size")
        if isinstance(each.get("digest"), str) and not each.get("urls") and not each.get("data"):
            blobs[each["digest"]] = size if isinstance(size, int) else 0
    parts = tuple(_part(each) for each in _mappings(value.get("manifests")))
    if len(parts) + len(blobs) > MOST_PARTS:
        raise ValueError(f"more than {MOST_PARTS} parts")
    return Manifest(parts, tuple(blobs.items()))


def read_manifest(content: bytes) -> Manifest:
    """The same; what is none names nothing."""
    try:
        return manifest(content)
    except ValueError:
        return Manifest()


def _part(described: Mapping[str, Any]) -> Part:
    at, notes = _object(described.get("platform")), _object(described.get("annotations"))
    words = [at.get(key) for key in ("os", "architecture", "variant")]
    about = notes.get(_ABOUT)
    platform = "/".join(str(word) for word in words if word)
    return Part(str(described.get("digest")), platform, about if isinstance(about, str) else "")


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _mappings(value: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))
