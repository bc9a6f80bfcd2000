"""What pip and uv are told to use a mirror, and the rules of an index."""

from __future__ import annotations

from typing import Any

from aimirror.settings import ini, toml
from aimirror.settings.setting import Address, Setting, as_text

PRESETS = r"""
python: # pip install --extra-index-url http://MIRROR/nvidia
  - &python
    name: -files
    path_prefix: /nvidia
    strip_prefix: true
    upstream: "https://pypi.nvidia.com"
    ecosystem: pypi # the digests that pages tell
    pattern: '^(?!.*/(blob|resolve)/[^/]+/).*\.(whl|egg|zip|tgz|tar\.gz|tar\.bz2|tar\.xz)$'
    strategy: parallel
    immutable: true
    reject_types: [text/html]
  - <<: *python
    name: -metadata
    pattern: '^(?!.*/(blob|resolve)/[^/]+/).*\.(metadata|asc)$'
    strategy: proxy
  - <<: *python
    name: ""
    pattern: '^/(?!.*/(blob|resolve)/[^/]+/)' # not the hub's files of an owner called so
    strategy: proxy
    immutable: false
    reject_types: []
    content_rewrite: {}
    cache: # some say no-store, and mean that a page must be fresh
      ttl: 10m
      stale_if_error: 7d
      ignore_upstream: true
      ignore_no_store: true
      obey_clients: false
"""


def _option(key: str) -> str:
    """An option as pip compares it."""
    return key.strip().lower().replace("_", "-").removeprefix("--")


def _pip(mirror: Address) -> Setting:
    values = {"index-url": mirror.at("/simple")}
    trusted = {"trusted-host": mirror.host} if mirror.plain else {}
    text = as_text([f"{key} = {value}" for key, value in {**values, **trusted}.items()])
    return Setting(
        "~/.config/pip/pip.conf",
        f"[global]\n{text}",
        ini.section("global", values, lists=trusted, key=_option),
        probe=f"{mirror.at('/simple')}/pip/",
        instead=("~/Library/Application Support/pip/pip.conf",),
    )


def _uv(mirror: Address) -> Setting:
    index = mirror.at("/simple")

    def change(document: Any) -> None:
        if "index-url" in document:
            document["index-url"] = index
            return
        indexes = toml.tables(document, "index")
        default = next((each for each in indexes if each.get("default")), None)
        if default is None:
            indexes.append(toml.new_table(url=index, default=True))
        else:
            default["url"] = index

    text = f'[[index]]\nurl = "{index}"\ndefault = true\n'
    return Setting("~/.config/uv/uv.toml", text, toml.edited(change), probe=f"{index}/pip/")


def _pdm(mirror: Address) -> Setting:
    index = mirror.at("/simple")

    def change(document: Any) -> None:
        if "pypi" not in document:
            document["pypi"] = toml.new_table()
        document["pypi"]["url"] = index
        if mirror.plain:
            document["pypi"]["verify_ssl"] = False

    plain = "verify_ssl = false\n" if mirror.plain else ""
    text = f'[pypi]\nurl = "{index}"\n{plain}'
    return Setting("~/.config/pdm/config.toml", text, toml.edited(change), probe=f"{index}/pip/")


def _poetry(mirror: Address) -> Setting:
    index = f"{mirror.at('/simple')}/"

    def change(document: Any) -> None:
        sources = toml.tables(toml.table(toml.table(document, "tool"), "poetry"), "source")
        for each in sources:
            if each.get("name") == "mirror":
                each["url"] = index
                return
        sources.append(toml.new_table(name="mirror", url=index, priority="primary"))

    return Setting(
        "pyproject.toml",
        f'[[tool.poetry.source]]\nname = "mirror"\nurl = "{index}"\npriority = "primary"\n',
        toml.edited(change),
        "poetry has no setting for all projects: this is for the folder in which it is run",
        probe=f"{index}pip/",
    )


CLIENTS = {"pip": _pip, "uv": _uv, "poetry": _poetry, "pdm": _pdm}
