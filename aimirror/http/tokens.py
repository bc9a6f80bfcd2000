"""Whose a token is, as its beginning tells: it reaches no other well-known service.

Clients send their token for one service wherever they are led, and a path can be taken for another
service's.  The beginnings are what the services document for those who scan for lost secrets.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping

from aimirror.http.headers import Headers

#: The hosts, or the ends of their names behind a dot, that a service's tokens are for.
_HOSTS: Mapping[str, tuple[str, ...]] = {
    "huggingface": ("huggingface.co", "hf.co", "hf-mirror.com"),
    "github": ("github.com", "githubusercontent.com", "ghcr.io"),
    "gitlab": ("gitlab.com",),
    "npm": ("npmjs.org", "npmjs.com", "yarnpkg.com"),
    "pypi": ("pypi.org", "pythonhosted.org"),
    "docker": ("docker.io", "docker.com"),
    "rubygems": ("rubygems.org",),
    "cargo": ("crates.io",),
    "nvidia": ("nvidia.com", "nvcr.io"),
}
#: Public hosts that no token above is for: they would only read it.
_OTHERS = (
    *("pytorch.org", "anaconda.org", "anaconda.com", "prefix.dev", "r-project.org", "rstudio.com"),
    *("maven.org", "apache.org", "gradle.org", "google.com", "golang.org", "debian.org"),
    *("ubuntu.com", "alpinelinux.org", "fedoraproject.org", "brew.sh", "bioconductor.org"),
    *("quay.io", "k8s.io", "gcr.io", "microsoft.com", "modelscope.cn", "nodejs.org"),
)
_BEGINNINGS: tuple[tuple[str, str], ...] = (
    ("hf_", "huggingface"),
    ("api_org_", "huggingface"),
    ("ghp_", "github"),
    ("gho_", "github"),
    ("ghu_", "github"),
    ("ghs_", "github"),
    ("github_pat_", "github"),
    ("glpat-", "gitlab"),
    ("npm_", "npm"),
    ("pypi-", "pypi"),
    ("dckr_pat_", "docker"),
    ("dckr_oat_", "docker"),
    ("rubygems_", "rubygems"),
    ("nvapi-", "nvidia"),
)


def misled(headers: Headers, host: str) -> bool:
    """Whether a request for a host carries a token that is known to be for another service.

    A host that is not well known may be anybody's own proxy of that service: it is given the token.
    """
    service = next((s for token in _tokens(headers) if (s := _service(token))), "")
    return bool(service) and _well_known(host) and not _is(host, _HOSTS[service])


def _tokens(headers: Headers) -> Iterable[str]:
    """What the Authorization fields hold: a token, or the user and password of Basic."""
    for value in headers.get_all("authorization"):
        scheme, _, rest = value.strip().partition(" ")
        rest = rest.strip()
        if scheme.lower() != "basic":
            yield rest
            continue
        try:
            user, _, password = base64.b64decode(rest).decode("latin-1").partition(":")
        except (binascii.Error, ValueError):
            continue
        yield password
        yield user


def _service(token: str) -> str:
    return next((service for start, service in _BEGINNINGS if token.startswith(start)), "")


def _well_known(host: str) -> bool:
    return _is(host, _OTHERS) or any(_is(host, hosts) for hosts in _HOSTS.values())


def _is(host: str, names: Iterable[str]) -> bool:
    return any(host == name or host.endswith(f".{name}") for name in names)
