"""Upstream proxies: their addresses, who goes round them, and what the environment says of them."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_network
from urllib.parse import unquote_to_bytes

from attrs import field, frozen

from aimirror.http.targets import BadTarget, parse_target

#: The word of the configuration for "as the environment says".
ENVIRONMENT = "env"

_URL = re.compile(r"(?i:(https?|socks5h?))://(?:([^/?#]*)@)?([^/?#@]+)/?")
_HERE = ("localhost", "127.0.0.1", "::1")
_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


class ProxyKind(enum.Enum):
    """How a proxy is spoken to."""

    HTTP = "http"
    #: HTTP inside TLS.
    HTTPS = "https"
    #: Names are resolved, and their addresses judged, before the proxy is asked.
    SOCKS5 = "socks5"
    #: Names are for the proxy to resolve.
    SOCKS5H = "socks5h"

    @property
    def http(self) -> bool:
        """Whether it speaks HTTP: CONNECT, and absolute-form requests."""
        return self in (ProxyKind.HTTP, ProxyKind.HTTPS)


@frozen
class Proxy:
    """A proxy; ``login`` is user and password, None without."""

    kind: ProxyKind
    host: str
    port: int
    login: tuple[bytes, bytes] | None = field(default=None, repr=False)


def parse_proxy(url: str) -> Proxy:
    """Read ``scheme://[user:password@]host[:port]``; raises BadTarget that quotes none of it."""
    match = _URL.fullmatch(url)
    if match is None:
        raise BadTarget("a proxy is http://, https://, socks5:// or socks5h://host:port")
    scheme, userinfo, authority = match[1].lower(), match[2], match[3]
    if not re.search(r":[0-9]+\Z", authority):
        authority = f"{authority.rstrip(':')}:{_PORTS[scheme]}"
    target = parse_target(f"http://{authority}/")
    return Proxy(ProxyKind(scheme), target.host, target.port, _login(userinfo))


def _login(userinfo: str | None) -> tuple[bytes, bytes] | None:
    if userinfo is None:
        return None
    user, _, password = userinfo.partition(":")
    return unquote_to_bytes(user), unquote_to_bytes(password)


def is_own(url: str, host: str, port: int) -> bool:
    """Whether a proxy's URL plainly is what listens at ``host`` and ``port`` of this machine."""
    proxy = parse_proxy(url)
    return proxy.port == port and proxy.host in (host, *_HERE)


def bypassed(host: str, port: int, no_proxy: Iterable[str]) -> bool:
    """Whether a host is reached without the proxy.

    Entries are "*", a name (which stands for what is below it, too), an address, a network, each
    but the last perhaps with a port.
    """
    for entry in no_proxy:
        name, wanted = _entry(entry)
        if wanted is not None and wanted != port:
            continue
        if name and (name == "*" or host == name or host.endswith("." + name)):
            return True
        if "/" in name and _within(host, name):
            return True
    return False


def _entry(text: str) -> tuple[str, int | None]:
    name = text.strip().lower().removeprefix("*.").lstrip(".")
    match = re.fullmatch(r"(\[[^\]]*\]|[^:]*):([0-9]{1,5})", name)
    if match is not None:
        return match[1].strip("[]"), int(match[2])
    return name.strip("[]"), None


def _within(host: str, network: str) -> bool:
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False


#: Ways of logging in at a proxy that we do not have, but programs that stand between do.
_FOREIGN = ("NTLM", "Negotiate", "Kerberos", "Digest")


def login_wanted(challenges: Iterable[str], proxy: Proxy) -> str:
    """What to do about a 407 with these values of Proxy-Authenticate (RFC 9110 section 11.7.1)."""
    said = ",".join(challenges)
    ways = [way for way in ("Basic", *_FOREIGN) if re.search(rf"(?i)(^|,)\s*{way}\b", said)]
    if "Basic" in ways and proxy.login is None:
        return "it wants a login: write http://user:password@host:port"
    foreign = " or ".join(way for way in ways if way != "Basic")
    if "Basic" in ways or not foreign:
        return "it refuses user and password" if proxy.login is not None else "it wants a login"
    return f"it wants {foreign}: let px (or cntlm, for NTLM) log in, and name that as the proxy"


@frozen(kw_only=True)
class Proxies:
    """What the environment says: a proxy for each scheme ("" for none), and who goes round."""

    http: str = field(default="", repr=False)
    https: str = field(default="", repr=False)
    no_proxy: tuple[str, ...] = ()


def from_environment(environ: Mapping[str, str]) -> Proxies:
    """Read ``http_proxy``, ``https_proxy``, ``all_proxy`` and ``no_proxy``, lower case first.

    A value without a scheme is an HTTP proxy, as for curl.  Raises BadTarget that names the
    variable.
    """
    return Proxies(
        http=_variable(environ, "http_proxy"),
        https=_variable(environ, "https_proxy"),
        no_proxy=tuple(
            entry for entry in re.split(r"[\s,]+", _either(environ, "no_proxy")[1]) if entry
        ),
    )


def _variable(environ: Mapping[str, str], name: str) -> str:
    name, value = _either(environ, name)
    if not value:
        name, value = _either(environ, "all_proxy")
    if not value:
        return ""
    url = value if "://" in value else f"http://{value}"
    try:
        parse_proxy(url)
    except BadTarget as error:
        raise BadTarget(f"the environment variable {name}: {error}") from None
    return url


def _either(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    for spelled in (name, name.upper()):
        value = environ.get(spelled, "").strip()
        if value:
            return spelled, value
    return name, ""
