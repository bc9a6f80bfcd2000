"""What requirements need in turn, found out by the resolver of uv or pip, by way of the mirror."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from attrs import frozen

from aimirror.commands.common import Complaint
from aimirror.http.json_text import parse_json

#: Seconds for a resolver: it may have to build what has no metadata.
RESOLVER_SECONDS = 1800.0
#: Files that one may include, and their bytes.
MOST_FILES = 100
_MOST_BYTES = 4 << 20
_INCLUDE = re.compile(r"^\s*(-r|--requirement|-c|--constraint)[ =]?\s*(\S+)\s*$")
_PINNED = re.compile(r"\s*([A-Za-z0-9._-]+)\s*(?:\[[^\]]*\])?\s*([=<>!~][^;#]*)")

#: What lines about errors begin with; those that are passed on, and their characters.
_ERROR = re.compile(
    r"error|\[ERROR\] (?!To see|Re-run|For more)\w|\u00d7|\"message\"", re.IGNORECASE
)
_ERRORS = 3
_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_MOST_WHY = 500

#: Platforms as they are called here, for uv.
_UV_PLATFORMS = {
    "linux_x86_64": "x86_64-unknown-linux-gnu",
    "linux_aarch64": "aarch64-unknown-linux-gnu",
    "macosx_arm64": "aarch64-apple-darwin",
    "macosx_x86_64": "x86_64-apple-darwin",
    "win_amd64": "x86_64-pc-windows-msvc",
}
#: Releases of macOS and glibc whose wheels are taken.
_MACOS = range(15, 10, -1)
_GLIBC = (39, 35, 34, 31, 28, 27, 24, 17)


@frozen
class Wanted:
    """What is to be resolved, and for which machine; "" is this one."""

    files: tuple[str, ...]
    #: The URL of the Python index.
    index: str
    python: str = ""
    platform: str = ""


@frozen
class Resolved:
    """Either the URLs of files, or requirements with all that they need; and by whom."""

    by: str
    urls: tuple[str, ...] = ()
    requirements: str = ""


def resolved(wanted: Wanted) -> Resolved | None:
    """Everything that the files need, as uv or else pip says; None when neither is installed.

    Raises Complaint with what the resolver said.
    """
    if (uv := shutil.which("uv")) is not None:
        return Resolved("uv", requirements=run([uv, *uv_arguments(wanted)]))
    pip = _pip()
    if pip is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        run([*pip, *pip_arguments(wanted, report, folder)])
        return Resolved("pip", urls=tuple(reported(report.read_text("utf-8"))))


def uv_arguments(wanted: Wanted) -> list[str]:
    """The command line for uv."""
    line = ["pip", "compile", "--no-header", "--no-annotate", "--generate-hashes"]
    line += ["--no-config", "--no-progress", "--default-index", wanted.index]
    if wanted.python:
        line += ["--python-version", wanted.python]
    if wanted.platform:
        platform = wanted.platform.replace("-", "_")
        line += ["--python-platform", _UV_PLATFORMS.get(platform, wanted.platform)]
    return [*line, *wanted.files]


def pip_arguments(wanted: Wanted, report: Path, folder: str) -> list[str]:
    """The command line for pip."""
    line = ["install", "--dry-run", "--ignore-installed", "--no-input", "--quiet"]
    line += ["--disable-pip-version-check", "--report", str(report), "--index-url", wanted.index]
    scheme, _, rest = wanted.index.partition("://")
    if scheme == "http":
        line += ["--trusted-host", rest.partition("/")[0]]
    if wanted.python or wanted.platform:  # pip then wants wheels alone, and a folder of its own
        line += ["--only-binary", ":all:", "--target", folder]
    if wanted.python:
        line += ["--python-version", wanted.python]
    for platform in pip_platforms(wanted.platform):
        line += ["--platform", platform]
    return [*line, *(word for file in wanted.files for word in ("-r", file))]


def pip_platforms(platform: str) -> list[str]:
    """A platform with the older ones whose wheels it takes, the newest first."""
    system, _, machine = platform.replace("-", "_").partition("_")
    if system == "linux":
        many = [f"manylinux_2_{minor}_{machine}" for minor in _GLIBC]
        return [*many, f"manylinux2014_{machine}", platform]
    if system == "macosx" and machine in ("arm64", "x86_64"):
        pairs = [(release, kind) for release in _MACOS for kind in (machine, "universal2")]
        return [f"macosx_{release}_0_{kind}" for release, kind in pairs]
    return [platform] if platform else []


def reported(text: str) -> Iterator[str]:
    """The URLs in pip's installation report."""
    try:
        install = parse_json(text)["install"]
        for each in install:
            yield each["download_info"]["url"]
    except (ValueError, KeyError, TypeError) as error:
        raise Complaint(f"pip's report can't be read: {error}") from None


def flattened(files: tuple[str, ...]) -> str:
    """The requirements of files and of all that they include, constraints added to their names."""
    wanted, constraints = [], {}
    for is_constraint, line in _lines(files):
        pinned = _PINNED.match(line) if is_constraint else None
        if pinned is not None:
            constraints[_name(pinned[1])] = pinned[2].strip()
        elif not is_constraint:
            wanted.append(line)
    return "".join(f"{_constrained(line, constraints)}\n" for line in wanted)


def _lines(files: tuple[str, ...]) -> Iterator[tuple[bool, str]]:
    waiting = [(False, Path(file)) for file in reversed(files)]
    seen: set[tuple[bool, Path]] = set()
    while waiting:
        is_constraint, path = waiting.pop()
        if (is_constraint, path.resolve()) in seen:
            continue
        seen.add((is_constraint, path.resolve()))
        if len(seen) > MOST_FILES:
            raise Complaint(f"{path}: more than {MOST_FILES} files are included")
        for line in read(path).splitlines():
            include = _INCLUDE.match(line)
            if include is None:
                yield is_constraint, line
            else:
                inner = is_constraint or include[1] in ("-c", "--constraint")
                waiting.append((inner, path.parent / include[2]))


def read(path: Path) -> str:
    """The text of a list; raises Complaint."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise Complaint(f"{path}: longer than {_MOST_BYTES} bytes")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise Complaint(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Complaint(f"{path}: it is no text in UTF-8") from None


def _constrained(line: str, constraints: dict[str, str]) -> str:
    match = re.match(r"\s*([A-Za-z0-9._-]+)(\s*\[[^\]]*\])?\s*([^;#@\s]*)", line)
    more = constraints.get(_name(match[1])) if match is not None and match[1] else None
    if match is None or more is None or "@" in line.partition(";")[0]:
        return line
    own = f"{match[3]}," if match[3] else ""
    return f"{match[1]}{match[2] or ''}{own}{more}{line[match.end() :]}"


def _name(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()


def _pip() -> list[str] | None:
    if find_spec("pip") is not None:
        return [sys.executable, "-P", "-m", "pip"]
    program = shutil.which("pip") or shutil.which("pip3")
    return None if program is None else [program]


def run(command: list[str], **environment: str) -> str:
    """What a resolver says, by the mirror alone: settings of this machine have no say.

    Raises Complaint with its own words when it fails.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "UV_"))}
    own = {"PIP_CONFIG_FILE": os.devnull, "NO_COLOR": "1", "NO_PROXY": "*", **environment}
    name = Path(command[0]).name
    try:
        ended = subprocess.run(
            command,
            env=kept | own,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=RESOLVER_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Complaint(f"{name} took longer than {RESOLVER_SECONDS:.0f} s") from None
    except OSError as error:
        raise Complaint(f"{command[0]}: {error.strerror}") from None
    if ended.returncode:
        raise Complaint(f"the requirements can't be resolved: {_why(ended)}")
    return ended.stdout


def _why(ended: subprocess.CompletedProcess[str]) -> str:
    """The first lines that tell of an error; mvn and mamba write theirs to standard output."""
    text = _STYLE.sub("", f"{ended.stdout}\n{ended.stderr}")
    said = [line for each in text.splitlines() if (line := each.strip())]
    errors = [each for each in said if _ERROR.match(each)] or said
    return " ".join(errors[:_ERRORS])[:_MOST_WHY] or f"it ended with {ended.returncode}"
