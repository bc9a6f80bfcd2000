"""What tells one version of a file from another (RFC 9110 section 8.8)."""

from __future__ import annotations

from attrs import frozen


@frozen
class Validator:
    """What tells one version of a file from another (RFC 9110 section 8.8)."""

    etag: str = ""
    last_modified: str = ""

    def if_range(self) -> str:
        """The value for If-Range: a strong ETag, else a date, else "" (RFC 9110 13.1.5)."""
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return "" if self.etag else self.last_modified

    def agrees(self, other: Validator) -> bool:
        """Whether two answers may be of one version: what both carry must be equal."""
        if self.etag and other.etag:
            return self.etag == other.etag
        if self.last_modified and other.last_modified:
            return self.last_modified == other.last_modified
        return True
