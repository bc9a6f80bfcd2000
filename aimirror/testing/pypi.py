"""A small PyPI: pages of a simple index on one port, its files on another; wheels to order."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import zipfile
from collections.abc import Iterable
from typing import Any

from attrs import define, field, frozen

from aimirror.ecosystems.pypi.names import METADATA, normalised
from aimirror.ecosystems.pypi.pages import JSON, asked
from aimirror.testing.behaviour import pattern
from aimirror.testing.site import Asked, File, Site

#: A time long past, for files that no cooldown hides.
LONG_AGO = "2020-01-01T00:00:00.000000Z"


@frozen
class Wheel:
    """A wheel and what its sidecar says."""

    filename: str
    content: bytes = field(repr=False)
    metadata: bytes


def wheel(name: str, version: str, requires: Iterable[str] = (), size: int = 0) -> Wheel:
    """A wheel for any Python: a module, and ``size`` bytes of data beside it."""
    stem = f"{normalised(name).replace('-', '_')}-{version}"
    module = stem.partition("-")[0]
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {each}" for each in requires]
    metadata = ("\n".join(lines) + "\n").encode()
    info = f"{stem}.dist-info"
    tags = b"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    members = [
        (f"{module}/__init__.py", f"version = {version!r}\n".encode()),
        *([(f"{module}/data.bin", pattern(size))] if size else []),
        (f"{info}/METADATA", metadata),
        (f"{info}/WHEEL", tags),
    ]
    record = "".join(f"{path},{_hashed(data)},{len(data)}\n" for path, data in members)
    members.append((f"{info}/RECORD", f"{record}{info}/RECORD,,\n".encode()))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for path, data in members:
            archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), data)
    return Wheel(f"{stem}-py3-none-any.whl", out.getvalue(), metadata)


@frozen(kw_only=True)
class Release:
    """A file on a page."""

    filename: str
    url: str
    sha256: str
    sidecar: str
    uploaded: str
    requires_python: str = ">=3.7"
    yanked: bool = False


@define
class SimpleIndex:
    """Serves ``/simple/NAME/`` on ``pages`` and ``/packages/...`` on ``files``.

    ``announces``: the pages name sidecars; ``has_sidecars``: they are there.  ``speaks_json``:
    else all pages are HTML.  ``life`` is the pages' Cache-Control, ``varies`` whether they say
    that Accept chooses.  Files are linked below ``files_url`` if that is given, under the
    BLAKE2b-256 of their bytes as on PyPI if ``names_digests``.
    """

    pages: Site = field(factory=Site)
    files: Site = field(factory=Site)
    announces: bool = True
    has_sidecars: bool = True
    speaks_json: bool = True
    varies: bool = True
    life: str = "max-age=600, public"
    files_url: str = ""
    names_digests: bool = True
    releases: dict[str, list[Release]] = field(factory=dict)

    def start(self) -> None:
        """Listen on both ports."""
        self.pages.fallback = self._page
        self.pages.start()
        self.files.start()

    def stop(self) -> None:
        """Refuse connections."""
        self.pages.stop()
        self.files.stop()

    def add(self, made: Wheel, uploaded: str = LONG_AGO, **more: Any) -> str:
        """Publish a wheel; its path on ``files``."""
        digest = hashlib.blake2b(made.content, digest_size=32).hexdigest()
        folder = f"{digest[:2]}/{digest[2:4]}/{digest[4:]}" if self.names_digests else "files"
        path = f"/packages/{folder}/{made.filename}"
        self.files.put(path, made.content, etag=f'"{digest[:32]}"')
        if self.has_sidecars:
            self.files.put(path + METADATA, made.metadata)
        release = Release(
            filename=made.filename,
            url=f"{self.files_url or self.files.url}{path}",
            sha256=hashlib.sha256(made.content).hexdigest(),
            sidecar=hashlib.sha256(made.metadata).hexdigest(),
            uploaded=uploaded,
            **more,
        )
        project = normalised(made.filename.partition("-")[0])
        self.releases.setdefault(project, []).append(release)
        return path

    def _page(self, request: Asked) -> File | None:
        parts = request.target.partition("?")[0].split("/")
        if len(parts) < 3 or parts[1] != "simple" or parts[2] not in self.releases:
            return None
        if parts[3:] != [""]:
            moved = (("Location", f"/simple/{parts[2]}/"),)
            return File(b"", "text/html", 301, moved)
        releases = self.releases[parts[2]]
        wanted = asked(request.headers.get("accept", ""))
        fields = [("X-PyPI-Last-Serial", "7")]
        fields += [("Vary", "Accept")] if self.varies else []
        fields += [("Cache-Control", self.life)] if self.life else []
        if self.speaks_json and wanted.startswith(JSON):
            return File(self._json(parts[2], releases), JSON, headers=tuple(fields))
        return File(self._html(releases), "text/html", headers=tuple(fields))

    def _json(self, project: str, releases: list[Release]) -> bytes:
        files = [
            {
                "filename": each.filename,
                "url": each.url,
                "hashes": {"sha256": each.sha256},
                "requires-python": each.requires_python,
                "core-metadata": {"sha256": each.sidecar} if self.announces else False,
                "size": 0,
                "upload-time": each.uploaded,
                "yanked": each.yanked,
                "provenance": None,
            }
            for each in releases
        ]
        for file, each in zip(files, releases, strict=True):
            file["size"] = len(self._content(each))
        versions = sorted({each.filename.split("-")[1] for each in releases})
        meta = {"api-version": "1.3"}
        page = {"meta": meta, "name": project, "versions": versions, "files": files}
        return json.dumps(page).encode()

    def _content(self, release: Release) -> bytes:
        path = "/packages/" + release.url.partition("/packages/")[2]
        return self.files.files[path].content

    def _html(self, releases: list[Release]) -> bytes:
        lines = ["<!DOCTYPE html>", "<html><body>"]
        for each in releases:
            attributes = {
                "href": f"{each.url}#sha256={each.sha256}",
                "data-requires-python": each.requires_python,
            }
            if self.announces:
                attributes["data-core-metadata"] = f"sha256={each.sidecar}"
                attributes["data-dist-info-metadata"] = f"sha256={each.sidecar}"
            if each.yanked:
                attributes["data-yanked"] = ""
            pairs = " ".join(f'{name}="{html.escape(value)}"' for name, value in attributes.items())
            lines.append(f"<a {pairs}>{each.filename}</a>")
        return "\n".join([*lines, "</body></html>"]).encode()


def _hashed(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
    return f"sha256={digest}"
