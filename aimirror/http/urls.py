"""Upstream URLs as text: joined to the letter, compared in one canonical form."""

from __future__ import annotations

import re
from functools import lru_cache

_URL = re.compile(r"(https?)://([^/?#]+)([^?#]*)(\?[^#]*)?(?:#.*)?", re.IGNORECASE | re.DOTALL)
_TRIPLET = re.compile(r"%[0-9a-f]{2}", re.IGNORECASE)
_DEFAULT_PORT = {"http": ":80", "https": ":443"}
#: A segment of a path that somebody drew: long, of letters and digits, no name with an ending.
_DRAWN = re.compile(r"/(?=[^/]*[0-9])(?=[^/]*[A-Za-z])[A-Za-z0-9_=-]{16,}(?=/|$)")

#: What no path may hold, as itself (RFC 9112 section 3.2) or percent-encoded.
_STRAY = re.compile(r"[\x00-\x20\x7f\\#?]|%(?:[01][0-9a-f]|7f|5c)", re.IGNORECASE)
#: A query may carry anything percent-encoded.
_STRAY_IN_QUERY = re.compile(r"[\x00-\x20\x7f#]")
#: A segment of one or two dots; some servers also split at %2F and cut ";parameters" off.
_DOTS = re.compile(r"(?:/|%2f)(?:\.|%2e){1,2}(?:;[^/]*)?(?=/|%2f|$)", re.IGNORECASE)

#: URLs that are remembered taken apart: one request asks a dozen times for the parts of its own.
MOST_TAKEN_APART = 256


@lru_cache(maxsize=256)  # as many as there are upstreams in a large configuration
def base(url: str) -> str:
    """An upstream's canonical base: lower-case origin without default port, no trailing slash.

    Raises ValueError when ``url`` is no absolute http or https URL.
    """
    scheme_and_host, path, _query = _parts(url)
    return scheme_and_host + path.rstrip("/")


def canonical(url: str) -> str:
    """The form by which URLs are compared (RFC 3986 section 6.2): percent-encodings in upper case.

    Nothing is decoded, and the query stays.  Raises ValueError as ``base`` does.
    """
    scheme_and_host, path, query = _parts(url)
    return scheme_and_host + _upper(path or "/") + _upper(query)


def host(url: str) -> str:
    """The lower-case host name of a URL, without port and brackets; ValueError as ``base``."""
    authority = _parts(url)[0].partition("://")[2].rpartition("@")[2]
    if authority.startswith("["):
        return authority[1:].partition("]")[0]
    return authority.partition(":")[0]


def is_ticket(url: str) -> bool:
    """Whether a URL may be one that was made for somebody, and works once: by query or token."""
    before, mark, query = url.partition("?")
    return bool(mark and query) or _DRAWN.search(before.partition("://")[2]) is not None


def origin(url: str) -> str:
    """Scheme, host and port in canonical form; ValueError as ``base``."""
    return _parts(url)[0]


def authority(url: str) -> str:
    """Host and port in canonical form, a usual port left out; ValueError as ``base``."""
    return _parts(url)[0].partition("://")[2]


def path(url: str) -> str:
    """The raw path of a URL, without its query; ValueError as ``base``."""
    return _parts(url)[1] or "/"


def reference(path: str) -> str:
    """A path as a link to it: one that begins with two slashes would name another host instead.

    RFC 3986 section 4.2; browsers take backslashes for slashes.
    """
    return "/" + path.lstrip("/\\")


def join(upstream: str, path: str, query: str) -> str:
    """An upstream's base with a raw path and query behind it.

    The path begins with "/" or is "", which names the base itself.  Bytes beyond ASCII (as
    latin-1) are percent-encoded, all else stays to the letter.
    """
    root = base(upstream)
    if not path and root.count("/") == 2:
        path = "/"
    return _ascii(root + path + (f"?{query}" if query else ""))


_HERE = re.compile(r"/(?:\./)+")


def objection(path: str, query: str) -> str | None:
    """Why a request target can't be passed on, or None.

    Dot segments, however they are written, could leave the mount that a rule names.
    """
    if not path.startswith("/"):
        return "the path must begin with a slash"
    if _STRAY.search(path):
        return "the path holds a control character, backslash, '?' or '#'"
    if _DOTS.search(path):
        return "the path holds a dot segment"
    if _STRAY_IN_QUERY.search(query):
        return "the query holds a control character or '#'"
    return None


def undotted(path: str) -> str:
    """The path without segments of one dot, which stay in their folder (RFC 3986, 5.2.4).

    apt writes ``./`` for a repository that is one folder.
    """
    return _HERE.sub("/", path)


@lru_cache(MOST_TAKEN_APART)
def _parts(url: str) -> tuple[str, str, str]:
    match = _URL.fullmatch(url)
    if match is None:
        raise ValueError("not an absolute http or https URL")
    scheme, authority = match[1].lower(), match[2].lower()
    authority = authority.removesuffix(_DEFAULT_PORT[scheme])
    return f"{scheme}://{authority}", match[3], match[4] or ""


def _upper(text: str) -> str:
    return _TRIPLET.sub(lambda match: match[0].upper(), text) if "%" in text else text


def _ascii(text: str) -> str:
    if text.isascii():
        return text
    return "".join(c if c.isascii() else f"%{ord(c):02X}" for c in text)
