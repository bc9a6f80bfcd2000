"""CocoaPods' CDN of specifications; the sources that these name have hosts of their own.

Nothing names a specification's digest: clients keep that of what they got in Podfile.lock, so that
links in specifications stay as they are.
"""

from __future__ import annotations

from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row, World
from aimirror.settings import lines
from aimirror.settings.setting import Address, Setting

_PRESETS = r"""
cocoapods: # source 'http://MIRROR/cocoapods/' in the Podfile
  - name: "" # a specification may be deprecated later, and even deleted
    path_prefix: /cocoapods
    strip_prefix: true
    upstream: "https://cdn.cocoapods.org"
    pattern: "^/"
    cache: {ttl: 5m, stale_if_error: 30d}
"""


def _cocoapods(mirror: Address) -> Setting:
    source = f"source '{mirror.at('/cocoapods')}/'"
    return Setting(
        "Podfile",
        f"{source}\n",
        lines.marked(source, instead=r"\s*source\s+['\"]https://cdn\.cocoapods\.org/?['\"]"),
        "in the folder of each project; for pods at GitHub: aimirror setup git",
        probe=f"{mirror.at('/cocoapods')}/CocoaPods-version.yml",
    )


WORLD = World(
    name="cocoapods",
    package=named_by(
        r".*/Specs/[0-9a-f]/[0-9a-f]/[0-9a-f]/(?P<name>[^/]+)/(?P<version>[^/]+)/[^/]+",
    ),
    presets=_PRESETS,
    clients={"cocoapods": _cocoapods},
    row=Row(
        clients="pod (CocoaPods)",
        at="`/cocoapods`",
        checked="nothing names a digest of a specification; pod checks sources by it",
        changes="specifications and lists, 5 min",
    ),
)
