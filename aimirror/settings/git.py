"""Git's configuration: URLs that stand for others (git-config(1), ``url.<base>.insteadOf``)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import frozen

from aimirror.settings.merging import Merge

_SECTION = re.compile(r'\s*\[\s*(?P<name>[A-Za-z0-9.-]+)(?:\s+"(?P<sub>(?:[^"\\]|\\.)*)")?\s*\]')
_ENTRY = re.compile(r"\s*(?P<key>[A-Za-z][A-Za-z0-9-]*)\s*(?:=\s*(?P<value>.*?)\s*)?$")


@frozen
class _Rewrite:
    """A line that says what the URL of its section stands for."""

    line: int
    base: str
    key: str
    value: str


def instead_of(base: str, original: str) -> Merge:
    """URLs that begin with ``original`` are fetched from ``base``, and go on being pushed to.

    Another base for the very same beginning is made a comment: git takes but one of the two.
    """

    def merge(before: str | None) -> str:
        lines = (before or "").splitlines()
        others = [
            each
            for each in _rewrites(lines)
            if each.key == "insteadof" and each.value == original and each.base != base
        ]
        for each in others:
            lines[each.line] = f"\t# aimirror took the place of: {lines[each.line].strip()}"
        for key, own in (("insteadof", base), ("pushinsteadof", original)):
            if not any((r.key, r.base, r.value) == (key, own, original) for r in _rewrites(lines)):
                name = "insteadOf" if key == "insteadof" else "pushInsteadOf"
                lines += [f'[url "{own}"]', f"\t{name} = {original}"]
        after = "".join(f"{line}\n" for line in lines)
        return before if before is not None and lines == before.splitlines() else after

    return merge


def _rewrites(lines: list[str]) -> Iterator[_Rewrite]:
    section, base, continued = "", "", False
    for number, line in enumerate(lines):
        whole, continued = not continued, line.rstrip().endswith("\\")
        if not whole or line.lstrip()[:1] in ("#", ";", ""):
            continue
        match = _SECTION.match(line)
        if match is not None:
            section, base = match["name"].lower(), re.sub(r"\\(.)", r"\1", match["sub"] or "")
            line = line[match.end() :]
            if not line.strip():
                continue
        entry = _ENTRY.match(line)
        if entry is not None and section == "url":
            value = re.sub(r'\s+[#;].*$|"', "", entry["value"] or "")
            yield _Rewrite(number, base, entry["key"].lower(), value.strip())
