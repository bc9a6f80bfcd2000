"""The one list of package worlds: the names that rules may use, and the class behind each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from aimirror.ecosystems.distributions import Apt, Rpm
from aimirror.ecosystems.huggingface.world import HuggingFace
from aimirror.ecosystems.indexed import Cargo, Conda, Cran, Npm, RubyGems
from aimirror.ecosystems.maven import Maven
from aimirror.ecosystems.oci.paths import Registries, Registry
from aimirror.ecosystems.oci.world import Oci
from aimirror.ecosystems.pypi.world import Pypi
from aimirror.exchanges.tools import Tools
from aimirror.mirror.ecosystem import Ecosystem

if TYPE_CHECKING:
    from aimirror.server.request import MirrorRequest


def ecosystems(
    tools: Tools,
    registries: Iterable[Registry],
    mirror_url: Callable[[MirrorRequest], str],
) -> dict[str, Ecosystem]:
    """All that rules can name; ``mirror_url`` says by which base URL a client came here."""
    return {
        "npm": Npm(tools),
        "conda": Conda(tools),
        "cran": Cran(tools),
        "maven": Maven(),
        "apt": Apt(tools),
        "rpm": Rpm(tools),
        "cargo": Cargo(tools),
        "rubygems": RubyGems(tools),
        "pypi": Pypi(tools),
        "huggingface": HuggingFace(tools, mirror_url),
        "oci": Oci(tools, Registries(registries), mirror_url),
    }
