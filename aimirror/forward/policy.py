"""Whom clients may reach through the forward proxy."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address

from attrs import evolve, field, frozen

from aimirror.http import urls
from aimirror.http.egress import ANYWHERE, Address, Network, Reach
from aimirror.http.targets import DEFAULT_PORTS, Target, parse_target
from aimirror.routing.rules import Rule

#: Where well-known upstreams keep their files or redirect to: a client that tunnels asks there
#: by itself, unseen by us.
COMPANIONS = {
    "pypi.org": ("files.pythonhosted.org",),
    "huggingface.co": ("*.huggingface.co", "*.hf.co"),
    "registry-1.docker.io": (
        "auth.docker.io",
        "index.docker.io",
        "production.cloudflare.docker.com",
        "production.cloudfront.docker.com",
        "docker-images-prod.6aa30f8b08e16409b46e0173d6de2f56.r2.cloudflarestorage.com",
    ),
    "ghcr.io": ("pkg-containers.githubusercontent.com",),
    "quay.io": ("*.quay.io",),
    "github.com": (
        "codeload.github.com",
        "objects.githubusercontent.com",
        "raw.githubusercontent.com",
        "release-assets.githubusercontent.com",
    ),
    "conda.anaconda.org": ("binstar-cio-packages-prod.s3.amazonaws.com",),
    "index.crates.io": ("crates.io", "static.crates.io"),
    "download.pytorch.org": ("download-r2.pytorch.org",),
}

_PATTERN = re.compile(
    r"(?P<below>\*\.?)?(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?)?"
    r"(?::(?P<port>[0-9]{1,5}))?"
)


@frozen
class HostPattern:
    """A host, or all below one; ``name`` "" with ``below`` is every host."""

    name: str
    below: bool = False
    #: None for the ports that are usual.
    port: int | None = None

    def names(self, host: str) -> bool:
        """Whether a host in lower case is meant."""
        if not self.below:
            return host == self.name
        return not self.name or host.endswith("." + self.name)


#: What the configuration may list.
Listed = HostPattern | IPv4Network | IPv6Network


def parse_pattern(text: str) -> HostPattern:
    """Read ``host``, ``*.domain`` or ``*``, each perhaps with ``:port``; raises ValueError."""
    match = _PATTERN.fullmatch(text)
    if match is None or not (match["below"] or match["name"]):
        raise ValueError("not a host")
    if (match["below"] == "*.") != bool(match["below"] and match["name"]):
        raise ValueError("not a host")
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:
        raise ValueError(f"port {port} is out of range")
    name = (match["name"] or "").lower().strip("[]").rstrip(".")
    return HostPattern(name, bool(match["below"]), port)


@frozen
class Granted:
    """A host may be reached, at addresses within ``reach``."""

    reach: Reach


@frozen
class Denied:
    """A host may not be reached; ``reason`` is for the client."""

    reason: str


@frozen(kw_only=True)
class ForwardPolicy:
    """The hosts that are allowed: those of the rules with their companions, and listed ones.

    Private addresses are reached only where a rule or ``allow`` names the very host, or ``allow``
    the network; judged on the address that is then dialled.
    """

    #: Hosts and ports that the rules' URLs name.
    origins: frozenset[tuple[str, int]] = frozenset()
    allow: tuple[Listed, ...] = ()
    deny: tuple[Listed, ...] = ()
    #: Ports of tunnels to hosts whose port nothing names.
    ports: frozenset[int] = frozenset({443})
    _hosts: frozenset[str] = field(init=False)
    _companions: tuple[HostPattern, ...] = field(init=False)

    @_hosts.default
    def _find_hosts(self) -> frozenset[str]:
        return frozenset(host for host, _ in self.origins)

    @_companions.default
    def _find_companions(self) -> tuple[HostPattern, ...]:
        companions = (COMPANIONS.get(host, ()) for host in sorted(self._hosts))
        return tuple(parse_pattern(text) for texts in companions for text in texts)

    def judge(
        self, host: str, port: int, *, plain: bool = False, seen: Collection[str] = ()
    ) -> Granted | Denied:
        """Whether a host in lower case may be reached, and how.

        ``plain`` is for requests in absolute form, which may go to port 80, too; ``seen`` are
        hosts to which upstreams of rules have redirected.
        """
        host = host.rstrip(".")
        address = _literal(host)
        base = Reach(networks=_networks(self.allow), refused=_networks(self.deny))
        if _lists(self.deny, host, port, address):
            return Denied(f"{host} is denied by the configuration")
        if (host, port) in self.origins:
            return Granted(evolve(base, zones=ANYWHERE.zones))
        named = [p for p in self.allow if isinstance(p, HostPattern) and p.names(host)]
        usual = port in self.ports or (plain and port == DEFAULT_PORTS["http"])
        if not usual and not any(p.port == port for p in named):
            return Denied(f"port {port} is not allowed")
        if any(p.port in (None, port) for p in named):
            exact = any(not p.below for p in named)
            return Granted(evolve(base, hosts=frozenset({host}) if exact else frozenset()))
        known = host in self._hosts or any(p.names(host) for p in self._companions)
        if known or host in seen or _lists(self.allow, host, port, address):
            return Granted(base)
        return Denied(f"{host} is no host of this mirror's rules, and not allowed beside them")


def origins(rules: Iterable[Rule]) -> frozenset[tuple[str, int]]:
    """The hosts and ports that rules name: upstreams, targets of links, listed hosts."""
    return frozenset((target.host, target.port) for target in _named(rules))


def secure_origins(rules: Iterable[Rule]) -> frozenset[str]:
    """The same as origins (https://host[:port]), those of TLS alone: what may be intercepted."""
    secure = (target for target in _named(rules) if target.scheme == "https")
    return frozenset(urls.origin(target.url) for target in secure)


def _named(rules: Iterable[Rule]) -> Iterator[Target]:
    for rule in rules:
        targets = rule.content_rewrite.targets if rule.content_rewrite is not None else ()
        for url in (*rule.upstreams, *targets):
            yield parse_target(urls.base(url))
        if not rule.upstreams:
            for host in rule.allow:
                if not host.startswith("*."):
                    yield parse_target(f"http://{host}")
                    yield parse_target(f"https://{host}")


def _lists(listed: Iterable[Listed], host: str, port: int, address: Address | None) -> bool:
    for item in listed:
        if isinstance(item, HostPattern):
            if item.names(host) and item.port in (None, port):
                return True
        elif address is not None and address in item:
            return True
    return False


def _networks(listed: Iterable[Listed]) -> tuple[Network, ...]:
    return tuple(item for item in listed if not isinstance(item, HostPattern))


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
