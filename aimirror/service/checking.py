"""Whether what a configuration names beside itself can be used: certificates, users, handlers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from aimirror.config import Config, ConfigError, plain
from aimirror.config.ignored import ignored
from aimirror.config.warnings import warnings
from aimirror.forward import authority
from aimirror.forward.authority import AuthorityError
from aimirror.forward.contexts import BadCertificate, read_context
from aimirror.mirror.handlers import BadHandler, load_handler
from aimirror.server.users import BadUsers, read_users
from aimirror.service.tiering import keys


def check_files(config: Config) -> None:
    """Read each of the files once; ConfigError names the key and what is wrong with its file.

    Handlers are Python modules: to read them is to run them.
    """
    for key, read in _files(config):
        try:
            read()
        except (AuthorityError, BadCertificate, BadUsers) as error:
            raise ConfigError(f"{config.source}: {key}: {error}") from None
        except BadHandler as error:
            raise ConfigError(str(error)) from None


def warned(config: Config) -> list[str]:
    """What is allowed in a configuration, but hardly what was meant, each in one line."""
    return list(warnings(config, plain(config), _disk(config.cache.dir)))


def unheeded(config: Config) -> list[str]:
    """Keys that change nothing, each in one line."""
    return list(ignored(config, plain(config)))


def _disk(folder: Path) -> int | None:
    """The bytes of the disk on which a folder is, or will be."""
    there = next((each for each in (folder, *folder.parents) if each.exists()), None)
    try:
        return None if there is None else shutil.disk_usage(there).total
    except OSError:
        return None


def _files(config: Config) -> Iterator[tuple[str, Callable[[], object]]]:
    server, forward = config.server, config.forward
    if server.tls is not None:
        yield "server.tls", partial(read_context, server.tls.cert, server.tls.key)
    for key, users in (("server.users", server.users), ("forward.users", forward.users)):
        if users is not None:
            yield key, partial(read_users, users)
    if config.cluster.key_file is not None:
        yield "", partial(keys, config)
    if forward.enabled and forward.intercept and forward.ca_dir is not None:
        yield "forward.ca_dir", partial(authority.load, forward.ca_dir)
    for rule in config.rules:
        if rule.handler:
            yield "", partial(load_handler, rule, config.source, config.folder)
