"""What belongs to an image: its manifests and blobs, and what says something about them.

Attestations are parts of an index (BuildKit's), or are found by the referrers of a manifest, at
registries without that API under a tag of its digest (OCI Distribution Specification 1.1,
"Listing Referrers").
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

from attrs import frozen

from aimirror.admin.internal_client import NotFetched
from aimirror.admin.prefetch_lists import BadList, Image
from aimirror.ecosystems.oci.manifests import Manifest, manifest
from aimirror.http.headers import Headers

#: Levels of indexes that an image may have.
MAX_DEPTH = 3
#: What manifests are asked for with.
MANIFESTS = Headers(
    [
        (
            "Accept",
            "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json,"
            " application/vnd.docker.distribution.manifest.list.v2+json,"
            " application/vnd.docker.distribution.manifest.v2+json",
        )
    ]
)


@frozen
class Images:
    """Finds what images consist of; ``text`` brings what is at a path here."""

    text: Callable[[str, Headers], Awaitable[str]]

    async def paths(
        self, image: Image, platform: str, reference: str = "", depth: int = 0
    ) -> list[str]:
        """The paths of all of it for a platform, "" for all; BadList when it can't be had."""
        path = image.manifest(reference)
        try:
            text = await self.text(path, MANIFESTS)
            said = manifest(text)
        except (NotFetched, ValueError) as error:
            raise BadList(f"{path}: {error}") from None
        names = [path, *(image.blob(digest) for digest, _ in said.blobs)]
        if depth < MAX_DEPTH:
            for part in said.chosen(platform):
                names += await self.paths(image, platform, part.digest, depth + 1)
            digest = hashlib.sha256(text.encode()).hexdigest()
            for part in (await self._referrers(image, digest)).parts:
                names += await self.paths(image, platform, part.digest, MAX_DEPTH)
        return names

    async def _referrers(self, image: Image, digest: str) -> Manifest:
        """What refers to a manifest; nothing where that can't be found out."""
        for path in (
            f"/v2/{image.name}/referrers/sha256:{digest}",
            image.manifest(f"sha256-{digest}"),
        ):
            try:
                return manifest(await self.text(path, MANIFESTS))
            except (NotFetched, ValueError):
                continue
        return Manifest()
