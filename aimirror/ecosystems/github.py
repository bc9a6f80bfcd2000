"""GitHub: its files and its repositories, for git and whoever loads releases."""

from __future__ import annotations

from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row, World
from aimirror.settings import git
from aimirror.settings.setting import Address, Setting

_PRESETS = r"""
github: # https://github.com/x -> http://MIRROR/github/x, git clone included
  - &github
    name: -files
    path_prefix: /github
    strip_prefix: true
    upstream: "https://github.com"
    pattern: '/releases/(download|latest/download)/.+|/(archive|zipball|tarball)/'
    strategy: parallel
    content_rewrite: null
    cache_key_source: original # the final URL is signed anew for each request
    cache: &github-cache {stale_if_error: 7d}
  - <<: *github
    name: ""
    pattern: "^/"
    strategy: proxy
    content_rewrite: # what Git LFS is told to fetch
      {content_types: [application/vnd.git-lfs+json]}
  - <<: *github
    name: -archives # of a commit or a tag, for Composer
    path_prefix: /github-api
    upstream: "https://api.github.com"
    pattern: '/repos/[^/]+/[^/]+/(zip|tar)ball/'
    immutable: '/(zip|tar)ball/[0-9a-f]{40}$'
    public: true
  - <<: *github
    name: -api # read-only: what it says of files leads back here
    path_prefix: /github-api
    upstream: "https://api.github.com"
    pattern: "^/"
    strategy: proxy
    public: true
    content_rewrite: {content_types: [application/json]}
    cache: {ttl: 1m, stale_if_error: 7d}
  - <<: *github
    name: -objects # of Git LFS, at addresses signed for each user; their sha256 is in the path
    path_prefix: /github-objects
    upstream: "https://github-cloud.githubusercontent.com"
    pattern: "^/"
    digest: {algorithm: sha256, from: path, pattern: '/([0-9a-f]{64})$'}
  - <<: *github
    name: -raw
    path_prefix: /github-raw
    upstream: "https://raw.githubusercontent.com"
    pattern: "^/"
    strategy: proxy
"""


def _git(mirror: Address) -> Setting:
    base = f"{mirror.at('/github')}/"
    merges = git.instead_of(base, "https://github.com/")
    return Setting(
        "~/.gitconfig",
        merges(None),
        merges,
        "pushes go to github.com as before",
        probe=f"{base}git/git/info/refs?service=git-upload-pack",
        instead=("~/.config/git/config",),
    )


WORLD = World(
    name="github",
    package=named_by(
        r"https?://[^/]+/(?P<name>[^/]+/[^/]+)/releases/download/(?P<version>[^/]+)/.+",
        r"https?://[^/]+/(?P<name>[^/]+/[^/]+)/archive/(?:refs/tags/)?(?P<version>[^/]+?)\.(?:zip|tar\.gz)",
        r"https?://codeload\.[^/]+/(?P<name>[^/]+/[^/]+)/[^/]+/(?:refs/tags/)?(?P<version>[^/]+)",
        r"https?://raw\.[^/]+/(?P<name>[^/]+/[^/]+)/(?P<version>[^/]+)/.+",
        r"https?://[^/]+/(?P<name>[^/]+/[^/]+?)(?:\.git)?/(?:info/refs|git-upload-pack)",
    ),
    presets=_PRESETS,
    clients={"git": _git},
    row=Row(
        clients="git, GitHub's files",
        at=(
            "`/github/OWNER/REPO`, `/github-raw`, `/github-api`, `/OWNER/REPO/releases/download/…`"
        ),
        checked="objects of Git LFS by their path",
        changes="whatever has no fixed life",
    ),
)
