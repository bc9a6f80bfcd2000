"""The configuration: a YAML file becomes one frozen ``Config``, or one line saying what is wrong.

``document`` reads YAML in bounds, ``schema`` is a small language of typed readers, ``scalars`` its
words, ``tables`` the keys of the file, ``presets`` the rules of package worlds, ``model`` the
values that come out.
"""

from __future__ import annotations

import base64
import os
import re
import tempfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from attrs import evolve

from aimirror.config import addresses, conclusions, presets, scalars, tables
from aimirror.config.document import MAX_BYTES, dump, parse
from aimirror.config.errors import ConfigError
from aimirror.config.model import (
    Abandoned,
    AccessFormat,
    Admin,
    Cache,
    Config,
    Forward,
    Level,
    Logging,
    Server,
    Tls,
)
from aimirror.config.schema import At
from aimirror.config.trusting import check_trust
from aimirror.http.targets import BadTarget
from aimirror.registries.registry import Registry
from aimirror.upstream.proxies import ENVIRONMENT, Proxies, from_environment, is_own

__all__ = [
    "Abandoned",
    "AccessFormat",
    "Admin",
    "Cache",
    "Config",
    "ConfigError",
    "Forward",
    "Level",
    "Logging",
    "Server",
    "Tls",
    "check_dirs",
    "expanded",
    "load",
    "plain",
]

#: The variable that may hold the administrators' token, and bytes of a file that does.
TOKEN_VARIABLE = "AIMIRROR_ADMIN_TOKEN"
#: Networks that administrators come from, separated by commas; a container's file has none.
HOSTS_VARIABLE = "AIMIRROR_ADMIN_HOSTS"
MAX_TOKEN = 4096
#: The variable that may say how other nodes reach this one.
SELF_VARIABLE = "AIMIRROR_SELF"
_USERINFO = re.compile(r"//.*@")


def load(path: Path | None, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration in a file, or the one that is built in.

    Relative paths in it are relative to the file's folder (to the current one when built in).
    Raises ConfigError.
    """
    file = "built-in default.yaml" if path is None else str(path)
    folder = Path.cwd() if path is None else path.absolute().parent
    at = At(file=file, folder=folder, cache_home=_cache_home(environ))
    value = parse(_read(path, file), file)
    config = _inherited(tables.document(file, folder).read(value, at))
    check_trust(config)
    return _surrounded(config, environ)


def expanded(path: Path | None) -> str:
    """The text of a configuration file with its presets written out; passwords are masked.

    Raises ConfigError as ``load`` does.
    """
    file = "built-in default.yaml" if path is None else str(path)
    config = load(path)
    value = parse(_read(path, file), file)
    assert isinstance(value, dict)
    at = At(file=file, folder=config.folder, cache_home=config.folder)
    written = conclusions.concluded(value["rules"], at.key("rules"), presets.built_in())
    shown = _masked({**value, "rules": [each.rule for each in written]})
    notes = [each.because for each in written]
    return _noted(dump(shown), notes)


def _noted(text: str, notes: list[str]) -> str:
    """The text of a configuration with a remark over each rule of which something was concluded."""
    pending = iter(notes)
    lines = []
    inside = False
    for line in text.splitlines(keepends=True):
        inside = line.startswith("rules:") or (inside and line[0] in " -")
        note = next(pending, "") if inside and line.startswith("- ") else ""
        if note:
            lines.append(f"# concluded: {note}\n")
        lines.append(line)
    return "".join(lines)


def plain(config: Config) -> dict[str, Any]:
    """The text of a configuration as plain values, as handlers get it."""
    path = Path(config.source)
    value: Any = parse(_read(path if path.is_file() else None, config.source), config.source)
    sections: dict[str, Any] = value
    return {key: each for key, each in sections.items() if key != "admin"}


def _masked(value: object) -> object:
    """A value whose URLs show no user and password."""
    if isinstance(value, dict):
        return {k: "***" if k == "token" and v else _masked(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_masked(each) for each in value]
    return _USERINFO.sub("//***@", value) if isinstance(value, str) else value


def check_dirs(config: Config, *, make: bool = True) -> None:
    """Make the folders of the cache and of log files; ConfigError when one can't be written.

    Without ``make`` it is only found out whether that would succeed.
    """
    _check_dir(config, "cache.dir", config.cache.dir, make)
    logging = config.logging
    for key, file in (("file", logging.file), ("access_file", logging.access_file)):
        if file is not None:
            _check_dir(config, f"logging.{key}", file.parent, make)
            _check_file(config, f"logging.{key}", file)


def _read(path: Path | None, file: str) -> bytes:
    if path is None:
        return (resources.files("aimirror") / "default.yaml").read_bytes()
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"{file}: can't be read: {reason}") from None


def _inherited(config: Config) -> Config:
    rules = tuple(
        evolve(
            rule,
            content_rewrite=rule.content_rewrite or config.content_rewrite,
        )
        for rule in config.rules
    )
    return evolve(config, rules=rules)


def _surrounded(config: Config, environ: Mapping[str, str]) -> Config:
    """With what the environment says, where the file leaves it to that."""
    proxies = {config.server.upstream_proxy, *(rule.upstream_proxy for rule in config.rules)}
    if ENVIRONMENT in proxies:
        config = evolve(config, environment=_environment(config, environ))
    config = evolve(
        config,
        admin=_admin(config, environ),
        registries=tuple(_logged_in(config, each) for each in config.registries),
    )
    if not config.cluster.own and environ.get(SELF_VARIABLE):
        key = f"${SELF_VARIABLE}"
        own = addresses.node_or_none.read(environ[SELF_VARIABLE], At(key, Path(), Path()))
        config = evolve(config, cluster=evolve(config.cluster, own=own))
    if config.forward.ca_dir is None:
        config = evolve(config, forward=evolve(config.forward, ca_dir=_ca_home(environ)))
    return config


def _admin(config: Config, environ: Mapping[str, str]) -> Admin:
    """With what the environment says; the file's own word is the last."""
    admin = _with_token(config, environ)
    text = environ.get(HOSTS_VARIABLE, "")
    if admin.hosts or not admin.token or not text:
        return admin
    at = At(f"${HOSTS_VARIABLE}", Path(), Path())
    names = [name.strip() for name in text.split(",") if name.strip()]
    return evolve(admin, hosts=tuple(addresses.network.read(name, at) for name in names))


def _with_token(config: Config, environ: Mapping[str, str]) -> Admin:
    """With the token of the environment or of its file."""
    admin, key, text = config.admin, f"${TOKEN_VARIABLE}", environ.get(TOKEN_VARIABLE, "")
    if admin.token_file is not None:
        key = f"{config.source}: admin.token_file"
        try:
            with admin.token_file.open("rb") as stream:
                text = stream.read(MAX_TOKEN).decode("ascii").strip()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "no text"
            raise ConfigError(f"{key}: '{admin.token_file}' can't be read ({why})") from None
    if admin.token or not text:
        return admin
    try:
        token = scalars.token.convert(text, At("", Path(), Path()))
    except ValueError:
        raise ConfigError(f"{key}: not allowed; allowed: {scalars.token.allowed}") from None
    return evolve(admin, token=token)


def _logged_in(config: Config, registry: Registry) -> Registry:
    """A registry with the mirror's own login there, read from its file."""
    key, name = "password_file", registry.password_file
    if registry.token_file:
        key, name = "token_file", registry.token_file
    if not name:
        return registry
    where = f"{config.source}: registries.{registry.name}.{key}"
    try:
        with Path(name).open("rb") as stream:
            secret = stream.read(MAX_TOKEN).decode("ascii").strip()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "no text"
        raise ConfigError(f"{where}: '{name}' can't be read ({why})") from None
    pair = f"{registry.username or '_token'}:{secret}".encode()
    return evolve(registry, login=f"Basic {base64.b64encode(pair).decode('ascii')}")


def _environment(config: Config, environ: Mapping[str, str]) -> Proxies:
    try:
        proxies = from_environment(environ)
    except BadTarget as error:
        raise ConfigError(f"{config.source}: upstream_proxy: {error}") from None
    for url in filter(None, (proxies.http, proxies.https)):
        if is_own(url, config.server.host, config.server.port):
            raise ConfigError(
                f"{config.source}: upstream_proxy: the environment names this mirror itself; "
                "allowed: another proxy"
            )
    return proxies


def _ca_home(environ: Mapping[str, str]) -> Path:
    """Where a service manager or the XDG base directory specification wants lasting files."""
    given = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given) / "ca"
    xdg = environ.get("XDG_CONFIG_HOME", "")
    base = Path(xdg) if os.path.isabs(xdg) else Path(environ.get("HOME", "/")) / ".config"  # noqa: PTH117
    return base / "aimirror" / "ca"


def _cache_home(environ: Mapping[str, str]) -> Path:
    """Where a service manager or the XDG base directory specification wants caches."""
    given = environ.get("CACHE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    xdg = environ.get("XDG_CACHE_HOME", "")
    # the specification has relative paths ignored
    base = Path(xdg) if os.path.isabs(xdg) else Path(environ.get("HOME", "/")) / ".cache"  # noqa: PTH117
    return base / "aimirror"


def _check_dir(config: Config, key: str, folder: Path, make: bool) -> None:
    try:
        if make:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        there = next(each for each in (folder, *folder.parents) if each.exists())
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        problem = f"{str(folder)!r} can't be written ({error.strerror})"
        raise ConfigError(
            f"{config.source}: {key}: {problem}; allowed: a folder where files can be made"
        ) from None


def _check_file(config: Config, key: str, file: Path) -> None:
    """A log file that is there already must take more; a new one its folder answers for."""
    problem = "it is a folder" if file.is_dir() else ""
    if not problem and file.exists() and not os.access(file, os.W_OK):
        problem = "it can't be written"
    if problem:
        raise ConfigError(
            f"{config.source}: {key}: {str(file)!r}: {problem};"
            " allowed: a file, new or to be added to"
        )
