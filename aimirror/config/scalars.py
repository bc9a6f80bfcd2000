"""The scalar readers of the configuration: sizes, durations, patterns, files and their like."""

from __future__ import annotations

import enum
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from aimirror.config.regexes import explodes
from aimirror.config.schema import At, Refusal, Scalar

T = TypeVar("T")
E = TypeVar("E", bound=enum.Enum)

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KB|MB|GB|TB|KIB|MIB|GIB|TIB)")
_BYTES = {
    "B": 1,
    **{f"{letter}B": 1000**power for power, letter in enumerate("KMGT", 1)},
    **{f"{letter}IB": 1024**power for power, letter in enumerate("KMGT", 1)},
}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def _typed(kind: type[T], allowed: str) -> Scalar[T]:
    def convert(value: object, at: At) -> T:
        if not isinstance(value, kind):
            raise Refusal
        return value

    return Scalar(allowed, convert)


def matching(
    pattern: str, allowed: str, make: Callable[[str], T], flags: re.RegexFlag = re.NOFLAG
) -> Scalar[T]:
    """Text that fits ``pattern`` as a whole; ``make`` may raise Refusal."""
    compiled = re.compile(pattern, flags)

    def convert(value: object, at: At) -> T:
        if not isinstance(value, str) or compiled.fullmatch(value) is None:
            raise Refusal
        return make(value)

    return Scalar(allowed, convert)


text = matching(r".*[^\s].*", "text", str)
anything = matching(r"(?s:.*)", "text, which may be empty", str)
flag = _typed(bool, "true or false")


def integer(least: int, most: int, note: str = "") -> Scalar[int]:
    """A whole number within bounds, both included."""

    def convert(value: object, at: At) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise Refusal
        return value

    return Scalar(f"a whole number from {least} to {most}{note}", convert)


def number(least: float, most: float) -> Scalar[float]:
    """A finite number within bounds, both included."""

    def convert(value: object, at: At) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Refusal
        if not least <= value <= most:
            raise Refusal
        return float(value)

    return Scalar(f"a number from {least:g} to {most:g}", convert)


def _size(value: object, at: At) -> int:
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip().upper())
        if match is None:
            raise Refusal
        value = int(float(match[1]) * _BYTES[match[2]])
    if isinstance(value, bool) or not isinstance(value, int):
        raise Refusal
    if value >> 63 > 0:
        raise Refusal("too large")
    return value


def _size_from_zero(value: object, at: At) -> int:
    size = _size(value, at)
    if size < 0:
        raise Refusal("negative")
    return size


size = Scalar('bytes, or text such as "5MB" (5000000) or "1GiB"', _size_from_zero)
size_or_none: Scalar[int | None] = Scalar(
    f"{size.allowed}; 0 for no limit", lambda value, at: _size_from_zero(value, at) or None
)
rate = Scalar(f"{size.allowed}, per second; 0 for no limit", _size_from_zero)
chunk = Scalar(f"{size.allowed}; 0 or less for automatic", lambda v, at: max(0, _size(v, at)))


def duration(least: float = 0.0) -> Scalar[float]:
    """Seconds, at least ``least``."""

    def convert(value: object, at: At) -> float:
        if isinstance(value, str):
            match = _DURATION.fullmatch(value.strip().lower())
            if match is None:
                raise Refusal
            value = float(match[1]) * _SECONDS[match[2]]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Refusal
        if not math.isfinite(value) or value < least:
            raise Refusal
        return float(value)

    bound = f" of at least {least:g} s" if least else ""
    return Scalar(f'seconds{bound}, or text such as "30s", "10m", "7d"', convert)


def one_of(kind: type[E]) -> Scalar[E]:
    """The value of an enum, in any case."""

    def convert(value: object, at: At) -> E:
        for member in kind:
            if isinstance(value, str) and value.lower() == str(member.value).lower():
                return member
        raise Refusal

    return Scalar(" or ".join(str(member.value) for member in kind), convert)


def member(*words: str) -> Scalar[str]:
    """One of these words."""

    def convert(value: object, at: At) -> str:
        if not isinstance(value, str) or value not in words:
            raise Refusal
        return value

    return Scalar(" or ".join(words), convert)


def _pattern(value: object, at: At) -> re.Pattern[str]:
    if not isinstance(value, str):
        raise Refusal
    try:
        made = re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        raise Refusal(str(error)) from None
    if explodes(made):
        raise Refusal("some short paths would take it seconds or years")
    return made


pattern = Scalar("a regular expression (Python's re)", _pattern)


header_name = matching(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", "the name of a header field", str)
module_name = matching(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", 'a module such as "handlers.docker"', str)
region = matching(r"[a-z0-9-]+", 'a region such as "eu-central-1"', str)


def _time_of_day(value: object, at: At) -> float:
    """YAML takes ``13:30`` for a number of base 60: the minutes."""
    match = re.fullmatch(r"(\d{1,2}):(\d\d)", value) if isinstance(value, str) else None
    if match is not None:
        value = int(match[1]) * 60 + int(match[2]) if int(match[2]) < 60 else None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 24 * 60:
        raise Refusal
    return value * 60.0


time_of_day = Scalar('a time of day such as "03:00"', _time_of_day)


def _file(value: object, at: At) -> Path | None:
    if not isinstance(value, str) or "\0" in value:
        raise Refusal
    # os.path keeps "~name" of an unknown user as it is, where pathlib raises
    return at.folder / os.path.expanduser(value) if value else None  # noqa: PTH111


file = Scalar("a file", lambda value, at: _file(value, at) or _refuse())


def _refuse() -> Path:
    raise Refusal


def _token(value: object, at: At) -> str:
    if not isinstance(value, str) or re.fullmatch(r"[!-~]{16,}|", value) is None:
        raise Refusal
    return value


token = Scalar('at least 16 printable characters without blanks, or "" for none', _token, True)
no_file = Scalar('a file, or "" for none', _file)
own_folder = Scalar('a folder, or "" for your own configuration folder', _file)
optional_file = Scalar('a file, or "" for standard error', _file)
folder = Scalar(
    'a folder, or "" for your own cache folder',
    lambda value, at: _file(value, at) or at.cache_home,
)
