"""What a link looks like in a body, and what stands in its place."""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import frozen

#: A slash, escaped as JSON allows.
_SLASH = rb"\\?/"
_DEFAULT_PORTS = {"http": "80", "https": "443"}


@frozen
class Link:
    """All links below the base URL ``old`` become links below the base ``new``.

    ``old`` is absolute; http and https, and a default port told or not, are the same.
    """

    old: str
    new: str


@frozen
class Target:
    """What may follow the slash that a search starts from: ``head``, then ``tail`` (patterns)."""

    head: bytes
    tail: bytes
    #: Lower-case schemes behind which it counts, "" without one.
    schemes: frozenset[bytes]
    plain: bytes
    escaped: bytes
    #: The longest match, in bytes.
    longest: int


def link_targets(link: Link) -> Iterator[Target]:
    """The forms of a base URL, from its host on: as told, and with the default ports."""
    match = _BASE.fullmatch(link.old)
    if match is None:
        raise ValueError(f"not an http or https base URL: {link.old!r}")
    host, port, path = match["host"], match["port"], (match["path"] or "").rstrip("/")
    either: tuple[bytes, ...] = (b"http", b"https", b"")
    if port is not None and port != _DEFAULT_PORTS[match["scheme"].lower()]:
        forms = {f":{port}": either}
    else:
        forms = {"": either, ":80": (b"http", b""), ":443": (b"https", b"")}
    for suffix, schemes in forms.items():
        yield Target(
            head=b"(?i:%b)" % re.escape(host.lower().encode()),
            tail=suffix.encode() + _path_pattern(path) + _BOUNDARY,
            schemes=frozenset(schemes),
            plain=_base(link.new),
            escaped=_escape(_base(link.new)),
            longest=len(f"{host}{suffix}".encode()) + _path_length(path),
        )


def path_target(old: str, new: str) -> Target:
    """A prefix of paths, from behind its first slash on; the empty one ends with that slash."""
    path, text = old.rstrip("/"), _base(new)
    if path:
        if not path.startswith("/"):
            raise ValueError(f"not a root-relative prefix: {old!r}")
        rest = _path_pattern(path).removeprefix(_SLASH) + _BOUNDARY
    else:
        rest, text = rb"(?!%b)" % _SLASH, text + b"/"  # two slashes start a host
    return Target(
        head=b"",
        tail=rest,
        schemes=frozenset((b"",)),
        plain=text,
        escaped=_escape(text),
        longest=_path_length(path),
    )


def _path_pattern(path: str) -> bytes:
    return _SLASH.join(re.escape(part.encode()) for part in path.split("/"))


def _path_length(path: str) -> int:
    return len(path.encode()) + path.count("/")


def _base(new: str) -> bytes:
    return new.rstrip("/").encode()


def _escape(text: bytes) -> bytes:
    return text.replace(b"/", rb"\/")


#: What may follow a base URL or a path prefix; anything else makes it another host or path.
_BOUNDARY = rb"""(?=[/?#"'<>\\\s),;&]|\Z)"""
_BASE = re.compile(
    r"(?P<scheme>https?)://(?P<host>[^/?#@\s]+?)(?::(?P<port>[0-9]+))?(?P<path>/[^?#\s]*)?",
    re.IGNORECASE,
)
