"""The certificates that a configuration names are looked at before the start."""

from __future__ import annotations

from attrs import evolve

from aimirror.config.applying import trust_of
from aimirror.config.errors import ConfigError
from aimirror.config.model import Config, Server
from aimirror.http.egress import Trust


def check_trust(config: Config) -> None:
    """Raises ConfigError for a file that can't be used as what it is named for."""
    unserved = evolve(config, server=Server())
    named = {"server": trust_of(config)}
    for index, rule in enumerate(config.rules):
        named[f"rules[{index}]"] = trust_of(unserved, rule)
    for each in config.registries:
        authorities = tuple(filter(None, (each.ca_file,)))
        shown = (each.client_cert, each.client_key)
        named[f"registries.{each.name}"] = Trust(authorities, *shown)
    for where, trust in named.items():
        if trust.files:
            _check(f"{config.source}: {where}", trust)


def _check(where: str, trust: Trust) -> None:
    # Only where there are files: reading a configuration needs no TLS else.
    from aimirror.upstream.trust import BadTrust, check

    try:
        check(trust)
    except BadTrust as bad:
        keys = {trust.key: "client_key", trust.certificate: "client_cert"}
        keys |= dict.fromkeys(trust.ca_files, "ca_file")
        wanted = "a PEM file of certificates"
        if bad.file not in trust.ca_files:
            wanted = "a PEM file with a certificate, and its key there or in client_key"
        raise ConfigError(
            f"{where}.{keys[bad.file]}: '{bad.file}': {bad}; allowed: {wanted}"
        ) from None
