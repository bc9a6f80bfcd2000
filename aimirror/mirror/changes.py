"""What is done to a body on its way to a client, and to the fields that speak of it."""

from __future__ import annotations

import gzip

from attrs import frozen

from aimirror.http.headers import Headers
from aimirror.mirror.link_targets import Link
from aimirror.mirror.rewriting import Rewriter, rewritten_etag
from aimirror.routing.digests import OF_WHOLE

#: A level that keeps up with a fast network.
GZIP_LEVEL = 4
_VARY = "Accept-Encoding"
#: Rewriters of whole bodies that are kept: with many rules, to make one takes longer than its use.
MOST_REWRITERS = 64
_REWRITERS: dict[tuple[object, ...], tuple[tuple[Link, ...], Rewriter]] = {}
#: Fields that are true of the upstream's bytes alone.
_OF_BYTES = frozenset({"content-md5", "content-digest", *(name.lower() for name in OF_WHOLE)})


@frozen
class Change:
    """What is done to one body on its way to one client."""

    links: tuple[Link, ...] = ()
    root_relative: tuple[tuple[str, str], ...] = ()
    #: JSON members whose values alone are links; none of them: most are.
    members: tuple[str, ...] = ()
    #: The mirror's base that the links lead to; "" when there are none.
    mark: str = ""
    gzip: bool = False
    #: Whether other clients may get it compressed, or uncompressed.
    varies: bool = False

    @property
    def name(self) -> tuple[object, ...]:
        """What tells it from other changes that one mirror makes."""
        return self.mark, self.root_relative, self.members, self.gzip

    @property
    def of_bytes(self) -> bool:
        """Whether it changes the body, not its fields alone."""
        return bool(self.mark) or self.gzip

    def rewriter(self) -> Rewriter:
        """What leads the links to the mirror."""
        return Rewriter(self.links, self.root_relative, self.members)

    def _whole(self) -> Rewriter:
        """The same for whole bodies, which any number may share, in threads too."""
        name = (self.mark, self.root_relative, self.members)
        links, rewriter = _REWRITERS.get(name, (None, None))
        if rewriter is None or links is not self.links:
            rewriter = self.rewriter()
            if len(_REWRITERS) >= MOST_REWRITERS:
                _REWRITERS.clear()
            _REWRITERS[name] = self.links, rewriter
        return rewriter

    def apply(self, data: bytes) -> bytes:
        """The whole body, changed."""
        if self.mark:
            data = self._whole().rewrite(data)
        return gzip.compress(data, GZIP_LEVEL, mtime=0) if self.gzip else data

    def headers(self, headers: Headers) -> Headers:
        """The fields of the changed body."""
        gone, added = {"vary"} if self.varies else set(), []
        etag = headers.get("etag")
        if self.mark:
            etag = rewritten_etag(etag, self.mark)
            gone |= _OF_BYTES
        if self.gzip:
            etag = "W/" + etag if etag and not etag.startswith("W/") else etag
            added.append(("Content-Encoding", "gzip"))
        if self.of_bytes:
            gone |= {"etag", "content-length"}
            if etag:
                added.append(("ETag", etag))
        if self.varies:
            vary = headers.joined("vary")
            if "accept-encoding" not in headers.tokens("vary"):
                vary = f"{vary}, {_VARY}" if vary else _VARY
            added.append(("Vary", vary or _VARY))
        return Headers([*(item for item in headers.items if item[0].lower() not in gone), *added])
