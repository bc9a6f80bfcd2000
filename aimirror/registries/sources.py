"""Which upstreams of a registry are asked for a client."""

from __future__ import annotations

from attrs import evolve

from aimirror.registries.auth import Credential
from aimirror.registries.registry import Registry
from aimirror.routing.choices import KeySource
from aimirror.routing.rules import Rule

#: Keys of rules that say nothing about registries.
_LINKLESS = "whose manifests and blobs have no links"
_NAMED = "whose paths are the registries' own"
_DECIDED = "where the registry says who may read what"
_BY_DIGEST = "where what a digest names never changes, and tags are asked about each time"
_OF_TABLE = "whose upstreams are those of the table of registries"
_FIELDS = "which asks registries with fields of its own"
IGNORED = {
    "content_rewrite": _LINKLESS,
    "path_rewrite": _NAMED,
    "strip_prefix": _NAMED,
    "cache_key_source": _NAMED,
    "head_meta_headers": "which answers HEAD with a registry's own fields",
    "immutable": _BY_DIGEST,
    "digest": "where digests are in the names",
    "public": _DECIDED,
    "credentials": _DECIDED,
    "cache.negative_ttl": "where what is missing for one client may be there for the next",
    "cache.stale_while_revalidate": _BY_DIGEST,
    "cache.obey_clients": _BY_DIGEST,
    "on_missing": _OF_TABLE,
    "names": _OF_TABLE,
    "allow": _OF_TABLE,
    "request_headers": _FIELDS,
    "credential_headers": _FIELDS,
}


class Sources:
    """Makes the rules of registries."""

    def __init__(self) -> None:
        self._rules: dict[tuple[str, str, str], Rule] = {}

    def rules(self, rule: Rule, registry: Registry, who: Credential) -> list[Rule]:
        """A rule of the configuration for each upstream of a registry.

        Credentials are for the first one as configured, and no other gets to see them.
        """
        upstreams = registry.upstreams or rule.upstreams
        asked = upstreams if who.anonymous else upstreams[:1]
        return [self._made(rule, registry, upstream) for upstream in asked]

    def _made(self, rule: Rule, registry: Registry, upstream: str) -> Rule:
        name = (rule.name, registry.name, upstream)
        made = self._rules.get(name)
        if made is None:
            own = registry if registry.client_cert else rule
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
                ca_file=registry.ca_file or rule.ca_file,
                client_cert=own.client_cert,
                client_key=own.client_key,
            )
        return made
