"""Maven: the sha1 beside each file is checked, and checksums agree with the file that is served."""

from __future__ import annotations

import hashlib
import re

from attrs import evolve

from aimirror.ecosystems.making import Coded
from aimirror.ecosystems.maven import checksums as maven
from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row
from aimirror.http.headers import Headers
from aimirror.indexes.indexes import at_hand, credential, is_stored, small
from aimirror.mirror.ecosystem import UNTAKEN, ClientRequest, Desk, General, Untaken
from aimirror.routing.rules import Route, route_of
from aimirror.server.answers import Answer
from aimirror.settings import xml
from aimirror.settings.merging import fresh
from aimirror.settings.setting import Address, Setting


class Maven(General):
    """Knowledge of the Maven repository layout."""

    settled = True

    async def take(self, request: ClientRequest, route: Route, mirror: Desk) -> Answer | Untaken:
        """See Ecosystem."""
        if request.method not in ("GET", "HEAD") or route.path.endswith("/"):
            return UNTAKEN
        described, algorithm = maven.checksum(route.path)
        if described:
            scope = credential(request, route)
            return await self._checksum(mirror, described, algorithm, scope)
        if maven.changes(route.path) or request.method == "HEAD":
            return UNTAKEN
        if is_stored(mirror.library, route, credential(request, route)):
            return UNTAKEN
        beside = route_of(mirror.rules, route.path + ".sha1", request.query or "")
        if not isinstance(beside, Route):
            return UNTAKEN
        text = await small(mirror, request, beside)
        digest = maven.digest(text) if text is not None else None
        if digest is None:
            return UNTAKEN
        return await mirror.answer(request, evolve(route, digest=digest))

    async def _checksum(
        self, mirror: Desk, described: str, algorithm: str, scope: str
    ) -> Answer | Untaken:
        """That of a file that changes is computed from what is stored: one fetched by itself could
        be of the next version.
        """
        route = route_of(mirror.rules, described, "")
        if not maven.changes(described) or not isinstance(route, Route):
            return UNTAKEN
        data = await at_hand(mirror.library, route, scope)
        if data is None:
            return UNTAKEN
        digest = hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()
        headers = Headers([("Content-Type", "text/plain"), ("Cache-Control", "no-cache")])
        return Answer(status=200, headers=headers, body=digest.encode("ascii"))


_PRESETS = r"""
maven: # <mirror><mirrorOf>central</mirrorOf><url>http://MIRROR/maven2</url>
  - &maven
    name: -files
    path_prefix: /maven2
    strip_prefix: true
    upstream: "https://repo.maven.apache.org/maven2"
    ecosystem: maven # the sha1 beside each file is checked
    pattern: >- # neither what changes nor folders
      ^(?!.*(-SNAPSHOT/|/maven-metadata|/archetype-cat|/nexus-maven-|/\.(meta|index)/)).*/[^/]+\.\w+$
    strategy: parallel
    immutable: true # though Maven asks for no-cache each time
    reject_types: [text/html]
  - <<: *maven
    name: ""
    pattern: "^/"
    strategy: proxy
    immutable: false
    reject_types: []
    cache: &maven-cache {ttl: 1m, stale_if_error: 7d}

gradle-plugins: # pluginManagement.repositories: maven { url = "http://MIRROR/gradle-plugins" }
  - {<<: *maven, path_prefix: /gradle-plugins, upstream: "https://plugins.gradle.org/m2"}
  - <<: *maven
    name: ""
    path_prefix: /gradle-plugins
    upstream: "https://plugins.gradle.org/m2"
    pattern: "^/"
    strategy: proxy
    immutable: false
    reject_types: []
    cache: *maven-cache
"""


def _maven(mirror: Address) -> Setting:
    url = mirror.at("/maven2")
    merges = xml.maven_mirror("aimirror", "central", url)
    probe = f"{url}/junit/junit/maven-metadata.xml"
    return Setting("~/.m2/settings.xml", merges(None), merges, probe=probe)


def _gradle(mirror: Address) -> Setting:
    """A script that each build runs: its repositories become the mirror's where it serves them."""
    hosts = {
        "https://repo.maven.apache.org/maven2": mirror.at("/maven2"),
        "https://repo1.maven.org/maven2": mirror.at("/maven2"),
        "https://plugins.gradle.org/m2": mirror.at("/gradle-plugins"),
    }
    pairs = "".join(f"    '{host}': '{url}',\n" for host, url in hosts.items())
    insecure = (  # older ones have no such property, and need none
        "            if (it.hasProperty('allowInsecureProtocol')) it.allowInsecureProtocol = true\n"
        if mirror.plain
        else ""
    )
    text = (
        f"def mirrors = [\n{pairs}]\n"
        "def lead = { repositories ->\n"
        "    repositories.withType(MavenArtifactRepository).all {\n"
        "        def led = mirrors[it.url.toString().replaceAll('/$', '')]\n"
        "        if (led != null) {\n            it.url = uri(led)\n"
        f"{insecure}        }}\n    }}\n}}\n"
        "settingsEvaluated { settings ->\n    lead(settings.pluginManagement.repositories)\n"
        "    if (settings.hasProperty('dependencyResolutionManagement')) {\n"
        "        lead(settings.dependencyResolutionManagement.repositories)\n    }\n}\n"
        "allprojects {\n    lead(buildscript.repositories)\n    lead(repositories)\n}\n"
    )
    probe = f"{mirror.at('/maven2')}/junit/junit/maven-metadata.xml"
    return Setting("~/.gradle/init.d/aimirror.gradle", text, fresh(text), probe=probe)


def _coordinate(path: str) -> str:
    """``group:artifact`` of a folder; where repositories are mounted is no part of a group."""
    group, _, artifact = re.sub(r"^(?:.*/)?(?:maven2?|m2|releases|public)/", "", path).rpartition(
        "/"
    )
    return f"{group.replace('/', '.')}:{artifact}" if group else artifact


WORLD = Coded(
    name="maven",
    package=named_by(
        r"https?://[^/]+/(?P<name>.+/(?P<artifact>[^/]+))/(?P<version>[^/]+)/(?P=artifact)-[^/]+",
        r"https?://[^/]+/(?P<name>.+/[^/]+)/maven-metadata\.xml[^/]*",
        tidy=_coordinate,
    ),
    presets=_PRESETS,
    clients={"maven": _maven, "gradle": _gradle},
    make=lambda edges: Maven(),
    row=Row(
        clients="Maven, Gradle",
        at="`/maven2`, `/gradle-plugins`",
        checked="the `.sha1` beside each file",
        changes="metadata and snapshots",
    ),
)
