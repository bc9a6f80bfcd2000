"""Rules of the built-in configuration, led to upstreams of a test."""

from __future__ import annotations

from typing import Any

import yaml

from tests.clients.worlds import ROOT


def default_rules(*prefixes: str, **upstreams: str) -> list[dict[str, Any]]:
    """The rules whose names begin so; ``pypi_org="http://..."`` takes the place of a host."""
    text = (ROOT / "aimirror" / "default.yaml").read_text()
    for host, url in upstreams.items():
        text = text.replace(f'"https://{host.replace("_", ".")}"', f'"{url}"')
    return [r for r in yaml.safe_load(text)["rules"] if r.get("name", "").startswith(prefixes)]
