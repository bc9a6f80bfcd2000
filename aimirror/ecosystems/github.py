"""GitHub: its files and its repositories, for git and whoever loads releases."""

from __future__ import annotations

from aimirror.ecosystems.clients import Setting, appended
from aimirror.ecosystems.world import Row, World

_PRESETS = r"""
github: # https://github.com/x -> http://MIRROR/github/x, git clone included
  - &github
    name: -files
    path_prefix: /github
    strip_prefix: true
    upstream: "https://github.com"
    pattern: '/releases/(download|latest/download)/.+'
    strategy: parallel
    cache_key_source: original # the final URL is signed anew for each request
    cache: &github-cache {stale_if_error: 7d}
  - <<: *github
    name: ""
    pattern: "^/"
    strategy: proxy
  - <<: *github
    name: -raw
    path_prefix: /github-raw
    upstream: "https://raw.githubusercontent.com"
    pattern: "^/"
    strategy: proxy
"""


def _git(url: str) -> Setting:
    text = f'[url "{url}/github/"]\n\tinsteadOf = https://github.com/\n'
    return Setting("~/.gitconfig", text, lambda before: appended(before, text))


WORLD = World(
    name="github",
    presets=_PRESETS,
    clients={"git": _git},
    row=Row(
        clients="git, GitHub's files",
        at=("`/github/OWNER/REPO`, `/github-raw`, `/OWNER/REPO/releases/download/…`"),
        checked="–",  # noqa: RUF001
        changes="whatever has no fixed life",
    ),
)
