"""What pip and uv are told to use a mirror, and the rules of an index."""

from __future__ import annotations

from aimirror.ecosystems.clients import Setting, absent, host, plain, section

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


def _pip(url: str) -> Setting:
    keys = {"index-url": f"{url}/simple"}
    if plain(url):
        keys["trusted-host"] = host(url)
    text = "".join(f"{key} = {value}\n" for key, value in keys.items())
    merges = section("global", text, tuple(keys))
    return Setting("~/.config/pip/pip.conf", f"[global]\n{text}", merges)


def _uv(url: str) -> Setting:
    text = f'[[index]]\nurl = "{url}/simple"\ndefault = true\n'
    return Setting("~/.config/uv/uv.toml", text, absent(text))


CLIENTS = {"pip": _pip, "uv": _uv}
