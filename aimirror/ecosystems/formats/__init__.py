"""Changing settings in files that somebody else wrote: each format by its own grammar.

A *merge* turns a file's text of before (None: there is none) into the new one, and leaves all else
of it as it was, comments included.  It raises ValueError where the text is not understood; what
comes out is read again and compared with what was meant.
"""

from __future__ import annotations

from collections.abc import Callable

Merge = Callable[[str | None], str]
