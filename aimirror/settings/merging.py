"""Changing settings in files that somebody else wrote: each format by its own grammar.

A *merge* turns a file's text of before (None: there is none) into the new one, and leaves all else
of it as it was, comments included.  It raises ValueError where the text is not understood; what
comes out is read again and compared with what was meant.
"""

from __future__ import annotations

from collections.abc import Callable

Merge = Callable[[str | None], str]


def fresh(text: str) -> Merge:
    """For formats in which only a new file can be written safely."""

    def merge(before: str | None) -> str:
        if before is not None and before.strip() and before != text:
            raise ValueError(
                "it holds something already; add by hand what is printed without --write"
            )
        return text

    return merge
