"""Playwright's browsers. Source: its documentation, "Install behind a firewall or a proxy"."""

from __future__ import annotations

from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row, World
from aimirror.settings.setting import Address, Setting, exported

_PRESETS = r"""
playwright: # PLAYWRIGHT_DOWNLOAD_HOST=http://MIRROR/playwright
  - name: "" # the number of the build is in the path
    path_prefix: /playwright
    strip_prefix: true
    upstream:
      - "https://cdn.playwright.dev/dbazure/download/playwright"
      - "https://playwright.download.prss.microsoft.com/dbazure/download/playwright"
    strategy: parallel
    immutable: '/builds/.+\.zip$'
    reject_types: [text/html]
"""


def _playwright(mirror: Address) -> Setting:
    builds = mirror.at("/playwright")
    return exported(f"{builds}/builds/", PLAYWRIGHT_DOWNLOAD_HOST=builds)


WORLD = World(
    name="playwright",
    package=named_by(
        r".*/builds/(?P<name>[^/]+)/(?P<version>[0-9]+)/.+",
    ),
    presets=_PRESETS,
    clients={"playwright": _playwright},
    row=Row(
        clients="playwright install",
        at="`/playwright`",
        checked="–",  # noqa: RUF001
        changes="nothing: builds are numbered",
    ),
)
