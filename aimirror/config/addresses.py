"""The readers of hosts, networks and URLs in the configuration."""

from __future__ import annotations

import re
from ipaddress import ip_network

from aimirror.config.scalars import matching
from aimirror.config.schema import At, Refusal, Scalar
from aimirror.forward.policy import HostPattern, Listed, parse_pattern
from aimirror.http import urls
from aimirror.http.egress import Network
from aimirror.upstream.proxies import ENVIRONMENT

#: A host name, IPv4 or bracketed IPv6 address, perhaps with a port; IDNs as xn--.
_HOST = r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]+\])"
_AUTHORITY = re.compile(rf"{_HOST}(?::(\d{{1,5}}))?")
_URL = re.compile(rf"https?://({_HOST}(?::\d{{1,5}})?)(/[!-~]*)?", re.IGNORECASE)
_PROXY = re.compile(rf"(?:https?|socks5h?)://(?:[!-.0-~]+@)?({_HOST}:\d{{1,5}})/?", re.IGNORECASE)


def _url(value: object, at: At) -> str:
    if isinstance(value, str) and "@" in value.partition("//")[2].partition("/")[0]:
        raise Refusal("credentials do not belong in it")
    match = _URL.fullmatch(value) if isinstance(value, str) else None
    if match is None or _bad_port(match[1]):
        raise Refusal
    if match[2]:
        _plain_path(match[2])
    return urls.base(match[0])


url = Scalar('an http:// or https:// URL without query, such as "https://pypi.org"', _url)


url_or_none = Scalar(f'{url.allowed}; or ""', lambda v, at: "" if v == "" else _url(v, at))
s3_url = matching(
    r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._-]+)*/?", "s3://BUCKET/PREFIX", str
)
_NODE = rf"{_HOST}:\d{{1,5}}"
node_or_none = matching(rf"{_NODE}|", 'host:port, or "" for the environment\'s AIMIRROR_SELF', str)
peer = matching(
    rf"(dns://)?{_NODE}", "host:port, or dns://NAME:PORT for all addresses of a name", str
)


upstream = Scalar(
    f'{url.allowed}; or "*" with allow', lambda v, at: "" if v == "*" else _url(v, at)
)


def _allowed_host(value: object, at: At) -> str:
    bare = value.removeprefix("*.") if isinstance(value, str) else ""
    if not isinstance(value, str) or _bad_port(bare):
        raise Refusal
    return value.lower()


allowed_host = Scalar('a host such as "host.example", "*.host.example", "host:8080"', _allowed_host)


def _proxy(value: object, at: At) -> str:
    match = _PROXY.fullmatch(value) if isinstance(value, str) else None
    if value not in ("", ENVIRONMENT) and (match is None or _bad_port(match[1])):
        raise Refusal
    return str(value).rstrip("/")


proxy = Scalar(
    '"SCHEME://[user:password@]host:port" with http, https, socks5 or socks5h, '
    f'"{ENVIRONMENT}" for what the environment says, or "" to go directly',
    _proxy,
    secret=True,
)


def _public_host(value: object, at: At) -> str:
    if not isinstance(value, str):
        raise Refusal
    if "//" in value:
        return _url(value, at)
    if value and (not _AUTHORITY.fullmatch(value) or _bad_port(value)):
        raise Refusal
    return value


public_host = Scalar(
    '"host:port", a URL such as "https://mirror.example", or "" for the Host that clients send',
    _public_host,
)


def _bad_port(authority: str) -> bool:
    match = _AUTHORITY.fullmatch(authority)
    return match is None or (match[1] is not None and not 0 < int(match[1]) < 65536)


registry_host = matching(
    rf"(?:\*\.)?{_HOST}(?::\d{{1,5}})?",
    'the host of a registry, such as "ghcr.io", or of many, such as "*.pkg.dev"',
    str.lower,
)


def _network_or_host(value: object, at: At) -> Network | str:
    if not isinstance(value, str):
        raise Refusal
    try:
        return ip_network(value)
    except ValueError as error:
        looks_numeric = "/" in value or re.fullmatch(r"[0-9.]+|.*:.*", value)
        if looks_numeric or not re.fullmatch(_HOST, value):
            raise Refusal(str(error) if looks_numeric else "") from None
    return value.lower().rstrip(".")


network_or_host = Scalar(
    'a host name, an address, or a network such as "10.0.0.0/8"', _network_or_host
)


def _network(value: object, at: At) -> Network:
    try:
        return ip_network(value)  # type: ignore[arg-type]
    except ValueError as error:
        raise Refusal(str(error)) from None


network = Scalar('an address, or a network such as "10.0.0.0/8"', _network)


def _listed(value: object, at: At) -> Listed:
    if not isinstance(value, str):
        raise Refusal
    if "/" in value:
        return _network(value, at)
    return _host_pattern(value, at)


def _host_pattern(value: object, at: At) -> HostPattern:
    try:
        return parse_pattern(value if isinstance(value, str) else "")
    except ValueError:
        raise Refusal from None


host_pattern = Scalar('a host, "*.domain" or "*", each perhaps with ":port"', _host_pattern)
host_or_network = Scalar(f'{host_pattern.allowed}, or a network such as "10.0.0.0/8"', _listed)
#: What NO_PROXY holds: names, addresses, networks, perhaps with a port.
bypass = matching(r"[A-Za-z0-9_.:*/\[\]-]+", 'a host, a domain, an address, a network or "*"', str)


def _plain_path(path: str) -> str:
    objection = urls.objection(path, "")
    if objection is not None:
        raise Refusal(objection)
    return path


def _bind_host(value: object, at: At) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_.:-]+", value):
        raise Refusal
    if value.count(":") == 1:
        raise Refusal("the port is a key of its own, server.port")
    return value


bind_host = Scalar('an address or host name to listen on, such as "0.0.0.0" or "::"', _bind_host)
path_prefix = matching(r"/[!-~]*", 'a path such as "/nvidia"', _plain_path)
