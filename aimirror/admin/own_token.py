"""The token that the mirror makes for itself where none is configured: a file for its owner alone.

Whoever may read the cache folder's files may change what is in them anyway.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

#: Its name in the cache folder.
NAME = "admin-token"
#: Bytes that are read of the file.
_MOST = 4096


def make_token(folder: Path) -> str:
    """A new token, written so that its owner alone can read it; raises OSError."""
    token = secrets.token_urlsafe(24)
    new = folder / f"{NAME}.new"
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(token + "\n")
    new.replace(folder / NAME)
    return token


def read_token(folder: Path) -> str:
    """The token of the service that has this folder, "" where there is none to be read."""
    try:
        with (folder / NAME).open("rb") as file:
            return file.read(_MOST).decode("ascii").strip()
    except (OSError, ValueError):
        return ""
