"""What each package client must be told to use a mirror: a file and its text, or a command."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from attrs import frozen


@frozen
class Setting:
    """One client's configuration; ``path`` is the file that holds it, "" for a command to run.

    A ``~`` stands for the user's home.  ``merges`` turns the file's text of before (None: there is
    none) into the new one; it raises ValueError where the file is not understood.
    """

    path: str
    text: str
    merges: Callable[[str | None], str]
    note: str = ""


def _whole(text: str) -> Callable[[str | None], str]:
    return lambda before: text


def _lines(text: str, replaced: tuple[str, ...]) -> Callable[[str | None], str]:
    """Lines with the same key give way to the new ones."""

    def merge(before: str | None) -> str:
        kept = [x for x in (before or "").splitlines() if not x.lstrip().startswith(replaced)]
        return "\n".join([*kept, *text.splitlines()]) + "\n"

    return merge


def _section(name: str, text: str, replaced: tuple[str, ...]) -> Callable[[str | None], str]:
    """The keys go into a section of an INI file or TOML file, in place of those of before."""

    def merge(before: str | None) -> str:
        lines = (before or "").splitlines()
        header = f"[{name}]"
        if header not in (line.strip() for line in lines):
            lines += ["", header] if lines else [header]
        start = next(i for i, line in enumerate(lines) if line.strip() == header) + 1
        stop = next(
            (i for i in range(start, len(lines)) if lines[i].lstrip().startswith("[")), len(lines)
        )
        kept = [line for line in lines[start:stop] if not line.lstrip().startswith(replaced)]
        return "\n".join([*lines[:start], *text.splitlines(), *kept, *lines[stop:]]) + "\n"

    return merge


def _json(values: Mapping[str, object]) -> Callable[[str | None], str]:
    def merge(before: str | None) -> str:
        found = json.loads(before) if before and before.strip() else {}
        if not isinstance(found, dict):
            raise ValueError("it holds no JSON object")
        return json.dumps({**found, **values}, indent=2) + "\n"

    return merge


def _absent(text: str) -> Callable[[str | None], str]:
    """For formats in which only a new file can be written safely."""

    def merge(before: str | None) -> str:
        if before is not None and before.strip() and before != text:
            raise ValueError("it holds something already; add the text above by hand")
        return text

    return merge


def setting(client: str, url: str) -> Setting:
    """The setting of a client (one of ``CLIENTS``); ``url`` is the mirror's, without slash."""
    return CLIENTS[client](url)


def _host(url: str) -> str:
    return url.partition("://")[2]


def _plain(url: str) -> bool:
    """Whether clients must be told to do without TLS; with it, they must go on verifying it."""
    return not url.startswith("https:")


def _pip(url: str) -> Setting:
    keys = {"index-url": f"{url}/simple"}
    if _plain(url):
        keys["trusted-host"] = _host(url)
    text = "".join(f"{key} = {value}\n" for key, value in keys.items())
    merges = _section("global", text, tuple(keys))
    return Setting("~/.config/pip/pip.conf", f"[global]\n{text}", merges)


def _uv(url: str) -> Setting:
    text = f'[[index]]\nurl = "{url}/simple"\ndefault = true\n'
    return Setting("~/.config/uv/uv.toml", text, _absent(text))


def _docker(url: str) -> Setting:
    values = {"registry-mirrors": [url]}
    if _plain(url):
        values["insecure-registries"] = [_host(url)]
    text = json.dumps(values, indent=2) + "\n"
    note = "then: systemctl restart docker"
    return Setting("/etc/docker/daemon.json", text, _json(values), note)


def _containerd(url: str) -> Setting:
    text = f'[host."{url}"]\n  capabilities = ["pull", "resolve"]\n'
    note = "config_path of the CRI plugin must be /etc/containerd/certs.d"
    return Setting("/etc/containerd/certs.d/_default/hosts.toml", text, _absent(text), note)


def _export(**values: str) -> Setting:
    text = "".join(f"export {name}={value}\n" for name, value in values.items())
    replaced = tuple(f"export {name}=" for name in values)
    return Setting("~/.profile", text, _lines(text, replaced), "then log in again")


def _npm(url: str) -> Setting:
    text = f"registry={url}/registry/npm/\n"
    note = "npm and pnpm read it; yarn 1: yarn config set registry " + f"{url}/registry/npm/"
    return Setting("~/.npmrc", text, _lines(text, ("registry=", "registry =")), note)


def _yarn(url: str) -> Setting:
    text = f'registry "{url}/registry/npm/"\n'
    return Setting("~/.yarnrc", text, _lines(text, ("registry ",)))


def _conda(url: str) -> Setting:
    text = (
        f"channels:\n  - {url}/conda-forge\ndefault_channels:\n  - {url}/pkgs/main\n"
        f"  - {url}/pkgs/r\n"
    )
    return Setting("~/.condarc", text, _absent(text))


def _r(url: str) -> Setting:
    text = f'options(repos = c(CRAN = "{url}"))\n'
    return Setting("~/.Rprofile", text, _lines(text, ("options(repos",)))


def _maven(url: str) -> Setting:
    text = (
        "<settings>\n  <mirrors>\n    <mirror>\n      <id>aimirror</id>\n"
        f"      <mirrorOf>central</mirrorOf>\n      <url>{url}/maven2</url>\n"
        "    </mirror>\n  </mirrors>\n</settings>\n"
    )
    return Setting("~/.m2/settings.xml", text, _absent(text))


def _apt(url: str) -> Setting:
    text = (
        f"deb {url}/debian stable main\ndeb {url}/debian stable-updates main\n"
        f"deb {url}/debian-security stable-security main\n"
    )
    note = "put your release's name for stable; Ubuntu: /ubuntu; take the old lines out"
    return Setting("/etc/apt/sources.list.d/aimirror.list", text, _whole(text), note)


def _cargo(url: str) -> Setting:
    text = (
        '[source.crates-io]\nreplace-with = "aimirror"\n\n'
        f'[source.aimirror]\nregistry = "sparse+{url}/crates/"\n'
    )
    return Setting("~/.cargo/config.toml", text, _absent(text))


def _rubygems(url: str) -> Setting:
    text = f":sources:\n- {url}/rubygems/\n"
    return Setting("~/.gemrc", text, _absent(text), "for Bundler: aimirror setup bundler")


def _bundler(url: str) -> Setting:
    key = "BUNDLE_MIRROR__HTTPS://RUBYGEMS__ORG/"
    text = f'---\n{key}: "{url}/rubygems"\n'
    return Setting("~/.bundle/config", text, _absent(text), "Gemfiles stay as they are")


def _git(url: str) -> Setting:
    text = f'[url "{url}/github/"]\n\tinsteadOf = https://github.com/\n'
    return Setting("~/.gitconfig", text, lambda before: _appended(before, text))


def _appended(before: str | None, text: str) -> str:
    before = before or ""
    return before if text in before else before + ("\n" if before else "") + text


def _alpine(url: str) -> Setting:
    text = f"{url}/alpine/latest-stable/main\n{url}/alpine/latest-stable/community\n"
    return Setting("/etc/apk/repositories", text, _whole(text))


def _dnf(url: str) -> Setting:
    key = "gpgcheck=1\ngpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-fedora-$releasever-$basearch\n"
    text = "".join(
        f"[aimirror-{name}]\nname=aimirror {name}\nbaseurl={url}/fedora/{path}/\nenabled=1\n{key}"
        for name, path in (
            ("fedora", "releases/$releasever/Everything/$basearch/os"),
            ("updates", "updates/$releasever/Everything/$basearch"),
        )
    )
    note = "then: dnf config-manager --set-disabled fedora updates"
    return Setting("/etc/yum.repos.d/aimirror.repo", text, _whole(text), note)


CLIENTS: dict[str, Callable[[str], Setting]] = {
    "pip": _pip,
    "uv": _uv,
    "docker": _docker,
    "containerd": _containerd,
    "huggingface": lambda url: _export(HF_ENDPOINT=url),
    "npm": _npm,
    "pnpm": _npm,
    "yarn": _yarn,
    "conda": _conda,
    "r": _r,
    "maven": _maven,
    "apt": _apt,
    "go": lambda url: _export(GOPROXY=f"{url}/goproxy"),
    "cargo": _cargo,
    "rubygems": _rubygems,
    "bundler": _bundler,
    "homebrew": lambda url: _export(
        HOMEBREW_ARTIFACT_DOMAIN=f"{url}/homebrew", HOMEBREW_API_DOMAIN=f"{url}/homebrew-api"
    ),
    "apk": _alpine,
    "dnf": _dnf,
    "git": _git,
}
