"""download.pytorch.org beside its package index: weights of torchvision and torch.hub."""

from __future__ import annotations

from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row, World

_PRESETS = r"""
pytorch: # https://download.pytorch.org/x -> http://MIRROR/pytorch/x
  - &pytorch
    name: -models # the beginning of the sha256 is in the name
    path_prefix: /pytorch
    strip_prefix: true
    upstream: "https://download.pytorch.org"
    pattern: '-[0-9a-f]{8,64}\.(pt|pth|zip|tar\.gz)$'
    strategy: parallel
    immutable: true
    reject_types: [text/html]
  - <<: *pytorch
    name: ""
    pattern: "^/"
    immutable: false
    reject_types: []
    cache: {ttl: 10m, stale_if_error: 7d}
"""

WORLD = World(
    name="pytorch",
    package=named_by(
        r".*/models/(?:.+/)?(?P<name>[^/]+?)-(?P<version>[0-9a-f]{8,})\.pth?",
    ),
    presets=_PRESETS,
    row=Row(
        clients="torch.hub, torchvision's weights",
        at="`/pytorch/models/…`",
        checked="the client: a part of the sha256 is in the name",
        changes="files without a digest in their names",
    ),
)
