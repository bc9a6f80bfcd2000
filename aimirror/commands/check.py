"""``aimirror check``: whether a configuration file is right."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from aimirror.commands.common import Commands, add_config
from aimirror.config import check_dirs, expanded
from aimirror.config.presets import described
from aimirror.service.checking import check_files, unheeded, warned
from aimirror.tap import configured


def add(commands: Commands) -> None:
    """The parser of this command."""
    check = commands.add_parser("check")
    check.add_argument("file", nargs="?", help="the configuration file (default: the built-in)")
    add_config(check)
    check.add_argument("--show", action="store_true", help="print it with its presets written out")
    check.add_argument("--presets", action="store_true", help="list the presets that there are")
    check.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Read it, and say what came of it; warnings and errors go to standard error."""
    file = given.file or given.config
    if given.presets:
        for name, where in described():
            print(f"{name:<12} {where}")
        return 0
    if given.show:
        print(expanded(Path(file) if file else None), end="")
        return 0
    config = configured(file)
    check_dirs(config, make=False)
    check_files(config)
    for warning in warned(config):
        print(f"{config.source}: warning: {warning}", file=sys.stderr)
    errors = unheeded(config)
    for error in errors:
        print(f"{config.source}: {error}", file=sys.stderr)
    if errors:
        return 1
    print(f"{config.source}: right; {len(config.rules)} rules, cache in {config.cache.dir}")
    return 0
