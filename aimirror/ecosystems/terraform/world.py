"""Terraform and OpenTofu: providers by the network mirror protocol, modules by their registry's.

Source: the Terraform documentation, "Provider Network Mirror Protocol".  A client asks for
``HOST/NAMESPACE/TYPE/index.json``, ``…/VERSION.json`` and the archive that this names; the registry
tells of versions, and where an archive is and what it hashes to.  Where a module is, a registry
says in a field or a document: it leads to the mirror's own place for that.
"""

from __future__ import annotations

import json
import re

from attrs import evolve

from aimirror.ecosystems.making import Coded
from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.terraform.documents import (
    archive,
    module_address,
    versions,
    with_location,
)
from aimirror.ecosystems.world import Row
from aimirror.forward.routes import served
from aimirror.http import urls
from aimirror.http.headers import Headers
from aimirror.mirror.ecosystem import UNTAKEN, ClientRequest, Desk, General, Untaken
from aimirror.routing.rules import Route, Rule, holding, route_of
from aimirror.server.answers import Answer, Streamed
from aimirror.server.errors import error_answer
from aimirror.settings.merging import fresh
from aimirror.settings.setting import Address, Setting

#: Bytes of what a registry says of a provider: a thousand versions with their platforms.
MOST_SAID = 8 << 20
_PROVIDER = re.compile(r"/([a-z0-9.-]+\.[a-z0-9.-]+)/([\w-]+)/([\w-]+)/([^/]+)\.json")
_MODULE = re.compile(r".*/v1/modules/.+/download")
_PLACE = "X-Terraform-Get"
#: Registries of what is public, and mostly at GitHub.
_PUBLIC = frozenset({"registry.terraform.io", "registry.opentofu.org"})
_ARCHIVE = re.compile(r"/([a-z0-9.-]+\.[a-z0-9.-]+)/([\w-]+)/([\w-]+)/([^/]+)/(\w+)_(\w+)\.zip")


class Terraform(General):
    """Answers by the one protocol what the upstream says by the other."""

    async def take(self, request: ClientRequest, route: Route, mirror: Desk) -> Answer | Untaken:
        """See Ecosystem."""
        if request.method not in ("GET", "HEAD"):
            return UNTAKEN
        below = route.path.removeprefix(route.rule.path_prefix)
        if _MODULE.fullmatch(below):
            return await self._module(request, route, mirror)
        provider, file = _PROVIDER.fullmatch(below), _ARCHIVE.fullmatch(below)
        match = provider or file
        if match is None:
            return UNTAKEN
        if match[1] != urls.host(route.rule.upstreams[0]):
            return error_answer(404, "no such registry", "this mirror has another one here")
        try:
            if file is not None:
                return await self._archive(request, route.rule, mirror, file)
            return await self._said(request, route.rule, mirror, match)
        except ValueError:
            return error_answer(502, "no provider", "the registry sent what can't be read")

    async def _module(self, request: ClientRequest, route: Route, mirror: Desk) -> Answer:
        """Where a module is, which the registry says in a field or in a document."""
        public = urls.host(route.urls[0]) in _PUBLIC

        def home(url: str) -> str:
            own = served(mirror.rules, url) if request.mirror else None
            return f"{request.mirror}{own.path}" if own is not None else ""

        def led(place: str) -> str:
            whole = urls.origin(route.urls[0]) + place if place.startswith("/") else place
            return module_address(whole, home, public=public)

        answer = evolve(await mirror.answer(request, evolve(route, exact=True)), memo_until=0.0)
        field = answer.headers.get(_PLACE)
        if field:
            answer = evolve(answer, headers=answer.headers.with_(_PLACE, led(field)))
        if answer.status != 200 or answer.body is None:
            return answer
        document = with_location(await self._body(answer, mirror), led)
        return evolve(answer, headers=answer.headers.without("ETag"), body=document)

    async def _said(
        self, request: ClientRequest, rule: Rule, mirror: Desk, match: re.Match[str]
    ) -> Answer:
        _, namespace, kind, name = match.groups()
        answer = await self._ask(request, rule, mirror, f"{namespace}/{kind}/versions")
        if answer.status != 200:
            return answer
        known = versions(await self._body(answer, mirror))
        if name == "index":
            return _json({"versions": {version: {} for version in known}})
        if name not in known:
            return error_answer(404, "no such version", "the registry has none of that number")
        archives = {each: {"url": f"{name}/{each}.zip"} for each in known[name]}
        return _json({"archives": archives})

    async def _archive(
        self, request: ClientRequest, rule: Rule, mirror: Desk, match: re.Match[str]
    ) -> Answer:
        _, namespace, kind, version, system, machine = match.groups()
        below = f"{namespace}/{kind}/{version}/download/{system}/{machine}"
        answer = await self._ask(request, rule, mirror, below)
        if answer.status != 200:
            return answer
        said = archive(await self._body(answer, mirror))
        home = served(mirror.rules, said.url)
        if home is None:
            host = urls.host(said.url)
            return error_answer(404, "archive elsewhere", f"no rule of this mirror serves {host}")
        return await mirror.answer(request, holding(home, said.digest))

    async def _ask(self, request: ClientRequest, rule: Rule, mirror: Desk, below: str) -> Answer:
        """What the registry says, from the cache as usual."""
        inner = route_of(mirror.rules, f"{rule.path_prefix}/v1/providers/{below}", "")
        if not isinstance(inner, Route):
            return error_answer(404, "no rule", "no rule of this mirror takes the registry's paths")
        plain = evolve(request, method="GET", headers=Headers([("Accept", "application/json")]))
        return await mirror.answer(plain, evolve(inner, exact=True))

    async def _body(self, answer: Answer, mirror: Desk) -> bytes:
        body = answer.body
        if body is None or isinstance(body, bytes | Streamed):
            return body if isinstance(body, bytes) else b""
        data: bytes = await mirror.library.read(body, MOST_SAID)
        return data


def _json(value: object) -> Answer:
    headers = Headers([("Content-Type", "application/json"), ("Cache-Control", "no-cache")])
    return Answer(status=200, headers=headers, body=json.dumps(value).encode())


_PRESETS = r"""
terraform: # provider_installation { network_mirror { url = "https://MIRROR/terraform/" } }
  - &terraform
    name: ""
    path_prefix: /terraform
    strip_prefix: true
    upstream: "https://registry.terraform.io"
    ecosystem: terraform # the shasum that the registry tells
    cache: &terraform-cache {ttl: 5m, stale_if_error: 7d}

opentofu: # provider_installation { network_mirror { url = "https://MIRROR/opentofu/" } }
  - <<: *terraform
    path_prefix: /opentofu
    upstream: "https://registry.opentofu.org"

hashicorp: # where HashiCorp's own providers and programs are
  - &releases
    name: -files
    path_prefix: /hashicorp
    strip_prefix: true
    upstream: "https://releases.hashicorp.com"
    pattern: '\.zip$'
    strategy: parallel
    immutable: true
    reject_types: [text/html]
  - <<: *releases
    name: ""
    pattern: "^/"
    strategy: proxy
    immutable: false
    reject_types: []
    cache: *terraform-cache
"""


def _setting(registry: str, prefix: str, file: str, mirror: Address) -> Setting:
    url = mirror.at(prefix)
    text = (
        f'provider_installation {{\n  network_mirror {{\n    url = "{url}/"\n  }}\n}}\n'
        f'host "{registry}" {{\n  services = {{\n    "modules.v1" = "{url}/v1/modules/"\n  }}\n}}\n'
    )
    note = "it takes no network mirror without TLS" if mirror.plain else ""
    return Setting(file, text, fresh(text), note, probe=f"{url}/.well-known/terraform.json")


def _terraform(mirror: Address) -> Setting:
    return _setting("registry.terraform.io", "/terraform", "~/.terraformrc", mirror)


def _tofu(mirror: Address) -> Setting:
    return _setting("registry.opentofu.org", "/opentofu", "~/.tofurc", mirror)


WORLD = Coded(
    name="terraform",
    package=named_by(
        r".*/(?P<name>[^/]+)/(?P<version>[^/]+)/(?P=name)_(?P=version)_[^/]+",
    ),
    presets=_PRESETS,
    clients={"terraform": _terraform, "tofu": _tofu},
    make=lambda edges: Terraform(),
    row=Row(
        clients="terraform, tofu (over TLS)",
        at="`/terraform/`, `/opentofu/`",
        checked="the `shasum` that the registry tells of an archive; of modules nothing tells one",
        changes="versions and places of modules, 5 min",
    ),
)
