"""Package worlds: what is known of each beyond HTTP, by the name that rules use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aimirror.config import Config
from aimirror.core.oci import Registries
from aimirror.downloads.tools import Tools
from aimirror.web.asked import Ecosystem
from aimirror.web.ecosystems.distributions import Apt, Rpm
from aimirror.web.ecosystems.huggingface import HuggingFace
from aimirror.web.ecosystems.listed import Cargo, Conda, Cran, Npm, RubyGems
from aimirror.web.ecosystems.maven import Maven
from aimirror.web.ecosystems.oci import Oci
from aimirror.web.ecosystems.pypi import Pypi
from aimirror.web.handlers import custom_handlers

if TYPE_CHECKING:
    from aimirror.web.request import MirrorRequest


def ecosystems(
    config: Config, tools: Tools, mirror_url: Callable[[MirrorRequest], str]
) -> dict[str, Ecosystem]:
    """All that rules can name; ``mirror_url`` says by which base URL a client came here."""
    worlds: dict[str, Ecosystem] = {
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
        "oci": Oci(tools, Registries(config.registries), mirror_url),
    }
    return {**worlds, **custom_handlers(config, tools, worlds)}
