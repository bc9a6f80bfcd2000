"""``aimirror clean-old``: remove what version 0.3 left in the cache folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from aimirror.commands.common import Commands, Complaint, add_common
from aimirror.commands.words import counted, size
from aimirror.config import load
from aimirror.store.legacy import remove, survey


def add(commands: Commands) -> None:
    """The parser of this command."""
    parser = commands.add_parser("clean-old")
    add_common(parser)
    parser.add_argument("--dry-run", action="store_true", help="only say how much it is")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Remove the old files; status 1 when there are none.

    A running service is not disturbed, for it has other files.
    """
    config = Path(given.config) if given.config else None
    folder = Path(given.cache_dir) if given.cache_dir else load(config).cache.dir
    try:
        old = survey(folder)
        if old is not None and not given.dry_run:
            remove(old)
    except OSError as error:
        raise Complaint(f"{error.filename or folder}: {error.strerror}") from None
    if old is None:
        print(f"{folder}: no files of version 0.3")
        return 1
    verb = "would go" if given.dry_run else "removed"
    print(f"{folder}: {counted(len(old.files), 'file')} of version 0.3 {verb}, {size(old.size)}")
    return 0
