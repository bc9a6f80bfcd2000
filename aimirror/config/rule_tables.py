"""The keys of a rule, and of a registry that one of them names."""

from __future__ import annotations

import re

from aimirror.config import addresses, scalars
from aimirror.config.recognition import NONE
from aimirror.config.scalars import duration, integer, one_of
from aimirror.config.schema import Conflict, Either, Key, Made, Many, Record
from aimirror.ecosystems.registry import NAMES as ECOSYSTEMS
from aimirror.registries.registry import Registry
from aimirror.routing.choices import (
    ContentRewrite,
    Credentials,
    KeySource,
    OnMissing,
    PathRewrite,
    Strategy,
    Xet,
)
from aimirror.routing.digests import ALGORITHMS, DigestSource, Source
from aimirror.routing.policies import CachePolicy
from aimirror.routing.rules import Rule

#: Bound that keeps a slip of the finger from exhausting sockets.
MOST_CONNECTIONS = 256

CA_FILE = Key("ca_file", Made(scalars.file, str))
#: Whom an upstream's certificate must be of, and what is shown to an upstream that asks.
_TRUST = (
    CA_FILE,
    Key("client_cert", Made(scalars.file, str)),
    Key("client_key", Made(scalars.file, str)),
)

_PATH_REWRITE = Record(
    "a mapping",
    PathRewrite,
    (
        Key("search", scalars.text, required=True),
        Key("replace", scalars.anything, required=True),
    ),
)

CONTENT_REWRITE = Record(
    "a mapping",
    ContentRewrite,
    (
        Key("content_types", Many(scalars.text)),
        Key("targets", Many(addresses.url)),
        Key("members", Many(scalars.text)),
    ),
)

_CACHE_POLICY = Record(
    "a mapping",
    CachePolicy,
    (
        Key("ttl", duration()),
        Key("stale_if_error", duration()),
        Key("stale_while_revalidate", duration()),
        Key("negative_ttl", duration()),
        Key("ignore_upstream", scalars.flag),
        Key("ignore_no_store", scalars.flag),
        Key("obey_clients", scalars.flag),
        Key("private_grace", duration()),
    ),
)


def _named(ecosystem: str) -> str:
    return "" if ecosystem == NONE else ecosystem


def _check_digest(source: DigestSource) -> None:
    in_path = source.source is Source.PATH
    if in_path and source.pattern is None:
        raise Conflict("pattern", "missing", scalars.pattern.allowed)
    if not in_path and not source.name:
        raise Conflict("name", "missing", f"the name of the {source.source.value} field")


_DIGEST = Record(
    "a mapping",
    DigestSource,
    (
        Key("algorithm", scalars.member(*ALGORITHMS), required=True),
        Key("from", one_of(Source), "source", required=True),
        Key("pattern", scalars.pattern),
        Key("name", scalars.text),
    ),
    _check_digest,
)


def _check_rule(rule: Rule) -> None:
    if rule.max_size is not None and rule.min_size > rule.max_size:
        raise Conflict(
            "max_size", f"{rule.max_size} is not allowed", f"at least min_size, {rule.min_size}"
        )
    if not rule.upstreams and not rule.allow:
        raise Conflict("allow", "missing", "the hosts that upstream '*' may reach")
    if rule.upstreams and rule.allow:
        raise Conflict("allow", "of no use", 'hosts only with upstream "*"')
    if rule.strip_prefix and not rule.path_prefix:
        raise Conflict("strip_prefix", "nothing to strip", "true only with a path_prefix")
    _check_shown(rule.client_cert, rule.client_key)


_FLAG_OR_PATTERN = Either[bool, re.Pattern[str]](bool, scalars.flag, scalars.pattern)

RULE = Record(
    "a mapping",
    Rule,
    (
        Key("name", scalars.text, required=True),
        Key("upstream", Many(addresses.upstream, or_one=True, least=1), "upstreams", required=True),
        Key("allow", Many(addresses.allowed_host)),
        Key("strategy", one_of(Strategy)),
        Key("pattern", scalars.pattern),
        Key("path_prefix", addresses.path_prefix),
        Key("strip_prefix", scalars.flag),
        Key("min_size", scalars.size),
        Key("max_size", scalars.size_or_none),
        Key("concurrency", integer(1, MOST_CONNECTIONS)),
        Key("chunk_size", scalars.chunk),
        Key("cache_key_source", one_of(KeySource)),
        Key("path_rewrite", Many(_PATH_REWRITE)),
        Key("content_rewrite", CONTENT_REWRITE),
        Key("handler", scalars.module_name),
        Key("ecosystem", Made(scalars.member("", NONE, *ECOSYSTEMS), _named)),
        Key("head_meta_headers", Many(scalars.header_name)),
        Key("immutable", _FLAG_OR_PATTERN),
        Key("digest", Many(_DIGEST, or_one=True), "digests"),
        Key("public", scalars.flag),
        Key("credentials", one_of(Credentials)),
        Key("on_missing", one_of(OnMissing)),
        Key("names", Many(scalars.text)),
        Key("request_headers", Many(scalars.header_name)),
        Key("credential_headers", Many(scalars.header_name)),
        Key("reject_types", Many(scalars.text)),
        Key("rate_limit", scalars.rate),
        Key("cache", _CACHE_POLICY),
        Key("cooldown", duration()),
        Key("xet", one_of(Xet)),
        Key("upstream_proxy", addresses.proxy),
        *_TRUST,
        Key("tier", scalars.flag),
        Key("cors", scalars.flag),
    ),
    _check_rule,
)


def _check_shown(cert: str, key: str) -> None:
    if key and not cert:
        raise Conflict("client_cert", "missing", "the certificate that client_key is of")


def _check_registry(registry: Registry) -> None:
    _check_shown(registry.client_cert, registry.client_key)
    if registry.password_file and registry.token_file:
        raise Conflict("token_file", "of no use beside password_file", "one of the two")
    if registry.password_file and not registry.username:
        raise Conflict("username", "missing", "the name that the password is of")
    if registry.username and not (registry.password_file or registry.token_file):
        raise Conflict("password_file", "missing", "the file that holds the password")


REGISTRY = Record(
    "a mapping",
    Registry,
    (
        Key("upstream", Many(addresses.url, or_one=True, least=1), "upstreams"),
        Key("aliases", Many(addresses.registry_host)),
        Key("anonymous", scalars.flag),
        Key("keep_deleted", scalars.flag),
        Key("username", scalars.text),
        Key("password_file", Made(scalars.file, str)),
        Key("token_file", Made(scalars.file, str)),
        Key("share", scalars.flag),
        *_TRUST,
    ),
    _check_registry,
)
