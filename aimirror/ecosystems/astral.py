"""uv's Pythons and Astral's own releases.

Source: uv's documentation of ``UV_PYTHON_INSTALL_MIRROR`` and ``UV_ASTRAL_MIRROR_URL``.
"""

from __future__ import annotations

from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row, World
from aimirror.settings.setting import Address, Setting, exported

_PRESETS = r"""
astral: # UV_ASTRAL_MIRROR_URL=http://MIRROR/astral, curl http://MIRROR/astral-sh/uv/install.sh
  - &astral
    name: -releases
    path_prefix: /astral
    strip_prefix: true
    upstream: "https://releases.astral.sh"
    strategy: parallel
    cache: &astral-cache {ttl: 10m, stale_if_error: 7d}
  - <<: *astral
    name: -sh
    path_prefix: /astral-sh
    upstream: "https://astral.sh"
    strategy: proxy
    cache: *astral-cache
"""

#: What uv fetches Pythons from, at the paths of github.com.
_PYTHONS = "github/astral-sh/python-build-standalone/releases/download"


def _uv_python(mirror: Address) -> Setting:
    return exported(
        f"{mirror.at('/astral')}/",
        UV_PYTHON_INSTALL_MIRROR=mirror.at(f"/{_PYTHONS}"),
        UV_ASTRAL_MIRROR_URL=mirror.at("/astral"),
    )


WORLD = World(
    name="astral",
    package=named_by(
        r"https?://[^/]+/(?P<name>astral-sh/[^/]+)/releases/download/(?P<version>[^/]+)/.+",
    ),
    presets=_PRESETS,
    clients={"uv-python": _uv_python},
    row=Row(
        clients="uv's Pythons, uv itself",
        at=f"`/{_PYTHONS}`, `/astral`, `/astral-sh`",
        checked="uv: it knows the sha256 of its Pythons",
        changes="whatever has no fixed life",
    ),
)
