"""By which address a client came here: what links in answers have to start with."""

from __future__ import annotations

import re

from aimirror.http.egress import Network
from aimirror.server.access import among
from aimirror.server.head import valid_authority
from aimirror.server.request import MirrorRequest

#: Where a proxy puts the mirror below a path of its own: segments that need no encoding.
_PREFIX = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
_PAIR = re.compile(r'\s*(\w+)\s*=\s*(?:"([^"]*)"|([^;,"\s]*))\s*', re.ASCII)


def base_url(
    request: MirrorRequest, public_host: str = "", trusted_proxies: tuple[Network, ...] = ()
) -> str:
    """``scheme://host[:port][/path]`` by which this client reached the mirror, with no final slash.

    ``public_host`` (a host, or a URL that fixes the scheme and the path, too) has the first word.
    Forwarded (RFC 7239) and X-Forwarded-Proto/-Host/-Prefix count from ``trusted_proxies`` alone,
    and of several hops the nearest; for others it is Host, whose charset was checked, so that
    nobody can have links to elsewhere put into a page.
    """
    if "://" in public_host:
        return public_host.rstrip("/")
    scheme = "https" if request.isSecure() else "http"
    host = request.headers.get("host") or _local(request)
    prefix = ""
    if among(request.peer, trusted_proxies):
        prefix = _last(request, "x-forwarded-prefix").rstrip("/")
        prefix = prefix if _PREFIX.fullmatch(prefix) else ""
        told_scheme, told_host = _forwarded(request)
        scheme = told_scheme if told_scheme in ("http", "https") else scheme
        host = told_host if told_host and valid_authority(told_host) else host
    return f"{scheme}://{public_host or host}{prefix}"


def _forwarded(request: MirrorRequest) -> tuple[str, str]:
    field = request.headers.joined("forwarded")
    if field is not None:
        nearest = field.rsplit(",", 1)[-1]
        pairs = {key.lower(): quoted or bare for key, quoted, bare in _PAIR.findall(nearest)}
        return pairs.get("proto", "").lower(), pairs.get("host", "")
    return _last(request, "x-forwarded-proto").lower(), _last(request, "x-forwarded-host")


def _last(request: MirrorRequest, name: str) -> str:
    return (request.headers.joined(name) or "").rsplit(",", 1)[-1].strip()


def _local(request: MirrorRequest) -> str:
    """The address that was connected to, for clients of HTTP/1.0 that send no Host."""
    address = request.getHost()
    host, port = getattr(address, "host", "localhost"), getattr(address, "port", 80)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
