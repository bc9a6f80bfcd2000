"""What an ``environment.yml`` or a ``pom.xml`` needs, as their own programs say, by the mirror."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attrs import frozen

from aimirror.commands.common import Complaint, complain
from aimirror.commands.resolving import read, run
from aimirror.config import ConfigError
from aimirror.config.document import dump, parse
from aimirror.settings.setting import Address

#: Programs that resolve an environment.yml, the quickest first.
_CONDAS = ("micromamba", "mamba", "conda")
#: Platforms as they are called here, for conda.
_CONDA_PLATFORMS = {
    "linux_x86_64": "linux-64",
    "linux_aarch64": "linux-aarch64",
    "macosx_arm64": "osx-arm64",
    "macosx_x86_64": "osx-64",
    "win_amd64": "win-64",
}
#: Channels that the mirror has at their own names, and what ``defaults`` stands for.
_NAMED = ("conda-forge", "bioconda")
_DEFAULTS = ("main", "r")
_OFFICIAL = re.compile(r"https?://conda\.anaconda\.org/")

#: Resolves by rattler, the library of pixi: URLs of channels, requirements and a platform come in.
_RATTLER = """
import asyncio, json, os, sys
from rattler import Gateway, Platform, VirtualPackage, solve

channels, wanted, platform, folder = json.loads(sys.argv[1])
here = str(Platform.current())
own = VirtualPackage.detect() if platform in ("", here) else []
records = asyncio.run(
    solve(
        channels,
        wanted,
        gateway=Gateway(cache_dir=folder),
        platforms=[platform or here, "noarch"],
        virtual_packages=[each.into_generic() for each in own],
    )
)
print(json.dumps([record.url for record in records]), flush=True)
os._exit(0)  # its threads crash now and then in the interpreter's own end
"""

#: Of the repository of Maven that is the mirror, in Maven's own records.
_MAVEN_ID = "aimirror"
_SETTINGS = """<settings><mirrors><mirror><id>{id}</id><mirrorOf>central</mirrorOf><url>{url}</url>
</mirror></mirrors></settings>
"""


@frozen
class Environment:
    """An environment.yml: its channels, the packages of conda, and lines for pip."""

    channels: tuple[str, ...]
    packages: tuple[str, ...]
    pip: tuple[str, ...] = ()


def environment(file: str) -> Environment:
    """What a file says; raises Complaint."""
    try:
        value = parse(read(Path(file)).encode(), file)
    except ConfigError as error:
        raise Complaint(str(error)) from None
    listed = value.get("dependencies") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(listed, list):
        raise Complaint(f"{file}: it lists no dependencies")
    channels = [str(each) for each in value.get("channels") or ("defaults",)]
    packages: list[str] = []
    pip: list[str] = []
    for each in listed:
        if isinstance(each, dict):
            pip += map(str, each.get("pip") or ())
            continue
        channel, _, package = str(each).rpartition("::")
        channels += [channel] if channel and channel not in channels else []
        packages.append(package)
    channels = [each for each in channels if each != "nodefaults"]
    return Environment(tuple(channels), tuple(packages), tuple(pip))


def from_conda(file: str, wanted: Environment, mirror: Address, platform: str) -> tuple[str, ...]:
    """The URLs of the packages that an environment.yml needs.

    By mamba or conda, else by the Python package py-rattler beside us.  Raises Complaint.
    """
    subdir = _CONDA_PLATFORMS.get(platform.replace("-", "_"), platform)
    program = next((p for name in _CONDAS if (p := shutil.which(name)) is not None), None)
    with tempfile.TemporaryDirectory() as folder:
        if program is not None:
            text = _by_conda(program, file, mirror, subdir, Path(folder))
        elif find_spec("rattler") is not None:
            channels = [url for name in wanted.channels for url in channel_urls(name, mirror)]
            order = json.dumps([channels, wanted.packages, subdir, folder])
            text = run([sys.executable, "-P", "-c", _RATTLER, order])
        else:
            hint = "or pip install py-rattler here, or give a conda-lock.yml"
            raise Complaint(f"{file}: one of {', '.join(_CONDAS)} is needed to resolve it; {hint}")
    try:
        return tuple(dict.fromkeys(_urls(json.loads(text))))
    except ValueError as error:
        raise Complaint(f"{file}: the resolver's answer can't be read: {error}") from None


def channel_urls(name: str, mirror: Address) -> list[str]:
    """Where the mirror has a channel, which may be the two of ``defaults``."""
    plain = _OFFICIAL.sub("", name).rstrip("/")
    if plain == "defaults":
        return [f"{mirror.at('/pkgs')}/{each}" for each in _DEFAULTS]
    if plain in _NAMED:
        return [mirror.at(f"/{plain}")]
    return [name if "://" in plain else f"{mirror.at('/conda')}/{plain}"]


def _by_conda(program: str, file: str, mirror: Address, subdir: str, folder: Path) -> str:
    """What a program says, whose settings name the mirror alone."""
    settings = folder / "condarc"
    custom = {name: channel_urls(name, mirror)[0].rpartition("/")[0] for name in _NAMED}
    settings.write_text(
        dump(
            {
                "channel_alias": mirror.at("/conda"),
                "default_channels": channel_urls("defaults", mirror),
                "custom_channels": custom,
            }
        )
    )
    create = ["create"] if "micromamba" in program else ["env", "create"]
    line = [program, *create, "--name", "aimirror-prefetch", "--file", file, "--dry-run", "--json"]
    more = {"CONDARC": str(settings), "MAMBARC": str(settings), "MAMBA_ROOT_PREFIX": str(folder)}
    return run([*line, "--yes"], **more, **({"CONDA_SUBDIR": subdir} if subdir else {}))


def _urls(value: Any) -> Iterator[str]:
    """Every package's URL in what a resolver says."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _urls(each)
    elif isinstance(value, str) and re.fullmatch(r"https?://\S+\.(conda|tar\.bz2)", value):
        yield value


def pip_lines(file: str, wanted: Environment) -> str:
    """The lines for pip as a text that may lie anywhere: files in them are beside ``file``."""
    folder = Path(file).absolute().parent
    include = re.compile(r"^(-r|--requirement|-c|--constraint)[ =]?\s*(\S+)$")
    return "".join(include.sub(rf"\1 {folder}/\2", line.strip()) + "\n" for line in wanted.pip)


def from_pom(file: str, mirror: Address) -> tuple[str, ...] | None:
    """The URLs of all that a build needs, plugins too, once mvn has had it by the mirror.

    None where mvn is not installed.  Raises Complaint when a dependency can't be had; a plugin
    that can't be is said on standard error alone.
    """
    program = shutil.which("mvn")
    if program is None:
        return None
    url = mirror.at("/maven2")
    with tempfile.TemporaryDirectory() as folder:
        settings, local = Path(folder) / "settings.xml", Path(folder) / "repository"
        settings.write_text(_SETTINGS.format(id=_MAVEN_ID, url=url))
        options = ["-B", "-q", "-Dstyle.color=never", f"-Dmaven.repo.local={local}"]
        line = [program, *options, "-s", str(settings), "-gs", str(settings), "-f", file]
        try:
            run([*line, "dependency:go-offline"])
        except Complaint as complaint:
            run([*line, "dependency:resolve"])
            complain(f"{file}: of its plugins not all can be had: {complaint}")
        return tuple(f"{url}/{path}" for path in _fetched(local))


def _fetched(repository: Path) -> Iterator[str]:
    """The files that came from the mirror, as Maven notes beside them."""
    for notes in sorted(repository.rglob("_remote.repositories")):
        for line in notes.read_text("utf-8", "replace").splitlines():
            name, _, source = line.rstrip("=").rpartition(">")
            if source == _MAVEN_ID:
                yield (notes.parent.relative_to(repository) / name).as_posix()
