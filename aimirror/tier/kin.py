"""Which indexes the nodes have left, by the base below which they lie.

The packages of some worlds are named by indexes of any URL, so a node that lacks the one that names
a package can't ask for it.  Each index is noted by the name of an empty object.  The notes are not
signed: who can write to the bucket can have nodes look for entries, which are.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from hashlib import sha256

#: Bytes of a key behind its base; S3 allows 1024 for a whole name.
LONGEST = 600
#: What times are taken from, so that the newest note is listed first: milliseconds.
_END = 10**13


def folder(base: str) -> str:
    """Where the notes of a base are."""
    return f"kin/{sha256(base.encode()).hexdigest()[:32]}/"


def note(base: str, key: str, now: float) -> str:
    """The name of an index's note, "" for what is not below the base or too long."""
    tail = key.removeprefix(base).encode()
    if not key.startswith(base) or len(tail) > LONGEST:
        return ""
    named = urlsafe_b64encode(tail).decode("ascii")
    return f"{folder(base)}{_END - int(now * 1000):013d}-{named}"


def noted(base: str, names: Iterable[str]) -> list[str]:
    """The keys that such names stand for, the newest first."""
    keys: dict[str, None] = {}
    for name in names:
        _, _, named = name.removeprefix(folder(base)).partition("-")
        try:
            keys[base + urlsafe_b64decode(named).decode()] = None
        except ValueError:
            continue
    return list(keys)
