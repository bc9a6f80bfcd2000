"""Which upstreams of a registry are asked for a client, and in which order."""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve

from aimirror.ecosystems.oci.auth import Credential
from aimirror.ecosystems.oci.paths import Registry
from aimirror.http import urls
from aimirror.routing.rules import KeySource, Rule
from aimirror.upstream.health import Health


class Sources:
    """Makes the rules of registries; ``now`` tells epoch seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._health = Health()
        self._rules: dict[tuple[str, str, str], Rule] = {}

    def rules(self, rule: Rule, registry: Registry, who: Credential) -> list[Rule]:
        """A rule of the configuration for each upstream of a registry, the healthy ones first.

        Credentials are for the first one as configured, and no other gets to see them.
        """
        upstreams = registry.upstreams or rule.upstreams
        if not who.anonymous:
            return [self._made(rule, registry, upstreams[0])]
        order = self._health.order([urls.origin(each) for each in upstreams], self._now())
        return [self._made(rule, registry, upstreams[index]) for index in order]

    def failed(self, rule: Rule) -> None:
        """The upstream of one of those rules could not answer."""
        self._health.failed(urls.origin(rule.upstreams[0]), self._now())

    def succeeded(self, rule: Rule) -> None:
        """It did."""
        self._health.succeeded(urls.origin(rule.upstreams[0]))

    def _made(self, rule: Rule, registry: Registry, upstream: str) -> Rule:
        name = (rule.name, registry.name, upstream)
        made = self._rules.get(name)
        if made is None:
            made = self._rules[name] = evolve(
                rule,
                upstreams=(upstream,),
                content_rewrite=None,
                path_rewrite=(),
                head_meta_headers=(),
                cache_key_source=KeySource.ORIGINAL,
                public=False,  # who may read what is decided for each repository
                # what is missing for one client may be there for the next
                cache=evolve(rule.cache, negative_ttl=0.0),
            )
        return made
