"""Where distributions get their packages: apt's sources, apk's repositories, dnf's .repo files.

Files that are there are changed in place, so that the suites, components and keys of the machine
stay as they are: only the archive's own address gives way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from aimirror.settings import ini
from aimirror.settings.merging import Merge

_Change = Callable[[str], str]

_NOTHING = "it names no archive that this mirror serves"


def apt(bases: Mapping[str, str]) -> Merge:
    """Sources in one line each (.list) or in paragraphs (.sources), see sources.list(5).

    ``bases`` says by what the archives are replaced, each a regular expression for a whole URI.
    """
    known = [(re.compile(pattern), base) for pattern, base in bases.items()]

    def uri(text: str) -> str:
        bare = text.rstrip("/")
        for pattern, base in known:
            if pattern.fullmatch(bare):
                return base + text[len(bare) :]
        return text

    def merge(before: str | None) -> str:
        if before is None:
            raise ValueError(_NOTHING)
        paragraphs = re.search(r"^(?i:uris)\s*:", before, re.MULTILINE) is not None
        changed = _paragraphs(before, uri) if paragraphs else _one_line(before, uri)
        if changed == before and not any(base in before for _, base in known):
            raise ValueError(_NOTHING)
        return changed

    return merge


_LINE = re.compile(
    r"^(?P<head>[ \t]*deb(?:-src)?[ \t]+(?:\[[^\]\n]*\][ \t]+)?)(?P<uri>[^\s#]+)", re.M
)


def _one_line(text: str, uri: _Change) -> str:
    return _LINE.sub(lambda match: match["head"] + uri(match["uri"]), text)


def _paragraphs(text: str, uri: _Change) -> str:
    """The URIs field of each paragraph, which may go on in further lines (deb822(5))."""
    lines, inside = [], False
    for line in text.splitlines(keepends=True):
        if line.startswith("#"):
            lines.append(line)
            continue
        if not line[:1].isspace():
            inside = re.match(r"(?i)uris\s*:", line) is not None
        head, colon, rest = line.partition(":") if line[:1].strip() else ("", "", line)
        changed = re.sub(r"\S+", lambda match: uri(match[0]), rest) if inside else rest
        lines.append(f"{head}{colon}{changed}")
    return "".join(lines)


def apk(pattern: str, base: str, fresh: str) -> Merge:
    """Repositories of Alpine; ``fresh`` is the text where there is no file."""
    known = re.compile(rf"^(?P<head>(?:@\S+[ \t]+)?)(?:{pattern})(?=/)", re.MULTILINE)

    def merge(before: str | None) -> str:
        if before is None or not before.strip():
            return fresh
        changed = known.sub(lambda match: match["head"] + base, before)
        if changed == before and base not in before:
            raise ValueError(_NOTHING)
        return changed

    return merge


def dnf(bases: Mapping[str, str]) -> Merge:
    """The sections of .repo files get a ``baseurl`` each; what led elsewhere becomes a comment."""

    def merge(before: str | None) -> str:
        lines = (before or "").splitlines()
        there = [name for name in bases if name in ini.headers(lines)]
        if not there:
            raise ValueError(_NOTHING)
        for name in there:
            for each in reversed(list(ini.options(lines))):
                leads = each.key in ("metalink", "mirrorlist", "baseurl")
                ours = lines[each.start] == f"baseurl={bases[name]}"
                if each.section == name and leads and not ours:
                    lines[each.start : each.stop] = [
                        f"#{line}" for line in lines[each.start : each.stop]
                    ]
            own = f"baseurl={bases[name]}"
            at = ini.headers(lines)[name] + 1
            if not any(
                each.section == name and lines[each.start] == own for each in ini.options(lines)
            ):
                lines.insert(at, own)
        after = "".join(f"{line}\n" for line in lines)
        return before if before is not None and lines == before.splitlines() else after

    return merge
