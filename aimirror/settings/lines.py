"""Files of lines: shells' profiles, .npmrc, .yarnrc, .Rprofile."""

from __future__ import annotations

import re
from collections.abc import Mapping

from aimirror.settings.merging import Merge

#: Ends a line that we wrote into a file in which others may say the same differently.
MARK = "# aimirror"


def marked(*own: str, instead: str = r"(?!)") -> Merge:
    """Lines of ours at the end, where they have the last word; what we wrote before gives way.

    Lines of ours are known by their mark, and are for the same when they agree up to the ``=``.
    Lines that begin with a match of ``instead`` are those of others in whose place ours come.
    """
    theirs = re.compile(instead)
    new = [f"{line} {MARK}" for line in own]
    subjects = {_subject(line) for line in new}

    def merge(before: str | None) -> str:
        lines = (before or "").splitlines()
        if all(line in lines for line in new):
            return before or ""
        kept = [
            line
            for line in lines
            if not (line.endswith(MARK) and _subject(line) in subjects) and not theirs.match(line)
        ]
        return "".join(f"{line}\n" for line in [*kept, *new])

    return merge


def _subject(line: str) -> str:
    """What a line sets: all up to its value, which begins at the first URL."""
    return re.split(r"https?://", line, maxsplit=1)[0].rstrip("\"' ")


def keys(values: Mapping[str, str], *, separator: str = "=", comments: str = "#;") -> Merge:
    """Top-level keys of a file such as .npmrc, each once; sections come behind them."""
    wanted = dict(values)

    def merge(before: str | None) -> str:
        lines = (before or "").splitlines()
        for key, value in wanted.items():
            _set(lines, key, f"{key}{separator}{value}", separator, comments)
        after = "".join(f"{line}\n" for line in lines)
        return before if before is not None and lines == before.splitlines() else after

    return merge


def leading(key: str, first: str, default: str) -> Merge:
    """The first word of a list such as ``key = a b``, whose other words stay; of several lines the
    last counts.  A file without one gets it with the ``default`` behind.
    """

    def merge(before: str | None) -> str:
        lines = (before or "").splitlines()
        same = [n for n, line in enumerate(lines) if _key(line, "=") == key]
        words = lines[same[-1]].partition("=")[2].split() if same else [default]
        new = " ".join([f"{key} =", first, *(word for word in words if word != first)])
        if same and words[:1] == [first]:
            return before or ""
        if same:
            lines[same[-1]] = new
        else:
            lines.append(new)
        return "".join(f"{line}\n" for line in lines)

    return merge


def _set(lines: list[str], key: str, new: str, separator: str, comments: str) -> None:
    top = next((n for n, x in enumerate(lines) if x.lstrip().startswith("[")), len(lines))
    same = [
        n
        for n, line in enumerate(lines[:top])
        if line.strip()[:1] not in (*comments, "") and _key(line, separator) == key
    ]
    for number in reversed(same[1:]):  # the last one counts, and one is enough
        del lines[number]
    if same:
        lines[same[0]] = new
    else:
        while top and top < len(lines) and not lines[top - 1].strip():
            top -= 1
        lines.insert(top, new)


def _key(line: str, separator: str) -> str:
    return line.strip().partition(separator)[0].strip().strip('"')
