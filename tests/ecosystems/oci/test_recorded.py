"""What clients that are not at hand ask for, request by request, as their sources have it.

Each is played against a cold mirror, a warm one, and one whose registry is down.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import urlencode

from attrs import evolve, frozen

from aimirror.http.egress import Outgoing
from aimirror.http.headers import Headers
from aimirror.registries.registry import DEFAULTS
from tests.ecosystems.oci.test_trials import INDEX, MANIFEST, TrialCase, digest_of
from tests.mirror.support import UPSTREAM, Played

DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
#: In the orders in which clients have them.
CONTAINERD = f"{DOCKER_MANIFEST}, {DOCKER_INDEX}, {MANIFEST}, {INDEX}, */*"
ORAS = f"{DOCKER_MANIFEST}, {DOCKER_INDEX}, {INDEX}, {MANIFEST}, */*"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
REPOSITORY = "/v2/library/app"
SIZE = 50_000


@frozen
class Step:
    """A request, with ``{index}``, ``{image}``, ``{config}``, ``{layer}`` for digests."""

    line: str
    fields: tuple[str, ...] = ()
    status: int = 200
    #: What the answer's body hashes to, or HEAD says, by the same names; "" for whatever.
    brings: str = ""
    span: tuple[int, int] | None = None


def tag(accept: str, method: str = "HEAD", query: str = "") -> Step:
    return Step(
        f"{method} {REPOSITORY}/manifests/latest{query}", (f"Accept: {accept}",), brings="index"
    )


def by_digest(name: str, accept: str, query: str = "", method: str = "GET") -> Step:
    line = f"{method} {REPOSITORY}/manifests/{{{name}}}{query}"
    return Step(line, (f"Accept: {accept}",), brings=name)


def blob(name: str, query: str = "", *fields: str, method: str = "GET") -> Step:
    return Step(f"{method} {REPOSITORY}/blobs/{{{name}}}{query}", fields, brings=name)


def part(query: str, start: int, stop: int, *fields: str) -> Step:
    line = f"GET {REPOSITORY}/blobs/{{layer}}{query}"
    return Step(line, (f"Range: bytes={start}-{stop - 1}", *fields), 206, span=(start, stop))


NS = "?ns=docker.io"
PING = Step("GET /v2/", status=401)
SCOPE = "repository:library/app:pull"
TOKEN = Step(f"GET /v2/auth?{urlencode({'scope': SCOPE, 'service': 'docker.io'})}")
OCTETS = "Accept: application/octet-stream"
OLLAMA = "User-Agent: ollama/0.9.0 (amd64 linux) Go/go1.24.0"
REFERRERS = Step(
    f"GET {REPOSITORY}/referrers/{{index}}?artifactType=a%2Fb", (f"Accept: {INDEX}",), 404
)
FALL_BACK = Step(f"GET {REPOSITORY}/manifests/{{tagged}}", (f"Accept: {INDEX}",), 404)

CLIENTS: Mapping[str, tuple[Step, ...]] = {
    # containerd's resolver, with the registry in ns; the rest of a layer after an interruption
    "k3s, nerdctl": (
        tag(CONTAINERD, query=NS),
        by_digest("index", f"{INDEX}, */*", NS),
        by_digest("image", f"{MANIFEST}, */*", NS),
        blob("config", NS, "Accept: application/vnd.oci.image.config.v1+json, */*"),
        blob("layer", NS, f"Accept: {LAYER}, */*"),
        part(NS, 30_000, SIZE, f"Accept: {LAYER}, */*"),
    ),
    "BuildKit": (
        tag(CONTAINERD, query=NS),
        by_digest("index", f"{INDEX}, */*", NS),
        by_digest("image", f"{MANIFEST}, */*", NS),
        blob("config", NS, "Accept: application/vnd.oci.image.config.v1+json, */*"),
        # asked about before it is fetched, which may be never
        blob("layer", NS, f"Accept: {LAYER}, */*", method="HEAD"),
        blob("layer", NS, f"Accept: {LAYER}, */*"),
    ),
    "stargz snapshotter": (
        tag(CONTAINERD, query=NS),
        by_digest("index", f"{INDEX}, */*", NS),
        by_digest("image", f"{MANIFEST}, */*", NS),
        part(NS, 0, 2, "Accept-Encoding: identity"),
        part(NS, SIZE - 100, SIZE, "Accept-Encoding: identity"),
        part(NS, 1_000, 2_000, "Accept-Encoding: identity"),
    ),
    "oras": (
        PING,
        TOKEN,
        tag(ORAS),
        by_digest("index", f"{INDEX}"),
        by_digest("image", f"{MANIFEST}"),
        blob("config"),
        blob("layer"),
        REFERRERS,
        FALL_BACK,
    ),
    "helm": (
        tag(f"{MANIFEST}, {INDEX}, */*"),
        by_digest("index", INDEX),
        by_digest("image", MANIFEST),
        blob("config"),
        blob("layer"),
        Step(f"GET {REPOSITORY}/tags/list?n=1000"),
    ),
    "crane, kaniko": (
        PING,
        TOKEN,
        tag(f"{DOCKER_INDEX},{INDEX},{DOCKER_MANIFEST},{MANIFEST}", "GET"),
        by_digest("image", f"{DOCKER_MANIFEST},{MANIFEST}", method="HEAD"),
        by_digest("image", f"{DOCKER_MANIFEST},{MANIFEST}"),
        blob("layer", "", "Accept-Encoding: gzip"),
        blob("layer", method="HEAD"),
    ),
    "docker": (
        PING,
        TOKEN,
        tag(f"{DOCKER_MANIFEST}, {DOCKER_INDEX}, {INDEX}, {MANIFEST}, */*"),
        by_digest("index", f"{MANIFEST}, {INDEX}"),
        by_digest("image", MANIFEST),
        blob("config", "", OCTETS),
        blob("layer", "", OCTETS),
    ),
}


class RecordedCase(TrialCase):
    def setUp(self) -> None:
        super().setUp()
        layer = bytes(range(250)) * (SIZE // 250)
        config = b'{"a": "config"}'
        image = self.image(layer, config=config)
        index = self.tags["latest"] = self.index(amd64=image)
        self.bodies = {"layer": layer, "config": config}
        self.names = {
            "layer": digest_of(layer),
            "config": digest_of(config),
            "image": image,
            "index": index,
            "tagged": index.replace(":", "-"),
        }
        self.upstream.handler = self.asked_of

    def asked_of(self, outgoing: Outgoing) -> Played | Exception:
        if "/tags/list" in outgoing.url and not self.down:
            return Played(200, "Content-Type: application/json", body=b'{"tags": ["latest"]}')
        return self.registry(outgoing)

    def play(self, step: Step, bearer: str) -> tuple[int, Headers, bytes]:
        method, _, target = step.line.partition(" ")
        fields = (*step.fields, *((f"Authorization: Bearer {bearer}",) if bearer else ()))
        client = self.ask(target.format(**self.names), *fields, method=method)
        if method == "HEAD":
            head, _, rest = client.received.partition(b"\r\n\r\n")
            self.assertEqual(rest, b"")
            lines = [line.partition(": ")[::2] for line in head.decode().split("\r\n")[1:]]
            return int(head.split()[1]), Headers(lines), b""
        return client.answer()

    def assertPlayed(self, name: str, state: str, step: Step, bearer: str) -> str:
        """That an answer is as its step says; the token in it, or the one of before."""
        status, headers, body = self.play(step, bearer)
        where = (name, state, step.line, status, body[:200])
        if state == "down" and step.status == 404:
            self.assertGreaterEqual(status, 404, where)
            return bearer
        self.assertEqual(status, step.status, where)
        if step.status == 401:
            told = headers.get("www-authenticate") or ""
            self.assertRegex(told, r'^Bearer realm="http://mirror.test/v2/auth",service=', where)
        if step.span is not None:
            start, stop = step.span
            self.assertEqual(body, self.bodies["layer"][start:stop], where)
            said = f"bytes {start}-{stop - 1}/{SIZE}"
            self.assertEqual(headers.get("content-range"), said, where)
        if step.brings:
            digest = self.names[step.brings]
            self.assertEqual(headers.get("docker-content-digest"), digest, where)
            size = len(self.contents[digest][1])
            self.assertEqual(headers.get("content-length"), str(size), where)
            if step.line.startswith("GET"):
                self.assertEqual(digest_of(body), digest, where)
            if "/manifests/" in step.line:
                kind = INDEX if step.brings == "index" else MANIFEST
                self.assertEqual(headers.get("content-type"), kind, where)
        token = json.loads(body).get("token") if "/v2/auth" in step.line else None
        return token or bearer


class RecordedTests(RecordedCase):
    """Each gets what it asks for: cold, warm without another byte of it, and in an outage."""

    def played(self, name: str) -> None:
        for state in ("cold", "warm", "down"):
            self.down = state == "down"
            before, bearer = len(self.urls()), ""
            for step in CLIENTS[name]:
                bearer = self.assertPlayed(name, state, step, bearer)
            fetched = [url for url in self.urls()[before:] if re.search("GET .*sha256:", url)]
            kept = [url for url in fetched if "/referrers/" not in url]
            self.assertTrue(kept if state == "cold" else not kept, (name, state, kept))

    def test_k3s(self) -> None:
        """k3s, nerdctl."""
        self.played("k3s, nerdctl")

    def test_buildkit(self) -> None:
        """BuildKit."""
        self.played("BuildKit")

    def test_stargz_snapshotter(self) -> None:
        """stargz snapshotter."""
        self.played("stargz snapshotter")

    def test_oras(self) -> None:
        """oras."""
        self.played("oras")

    def test_helm(self) -> None:
        """helm."""
        self.played("helm")

    def test_crane(self) -> None:
        """crane, kaniko."""
        self.played("crane, kaniko")

    def test_docker(self) -> None:
        """docker."""
        self.played("docker")


class OllamaTests(RecordedCase):
    """Its client names no registry, and means its own."""

    registries = DEFAULTS

    def setUp(self) -> None:
        super().setUp()
        inner = self.upstream.handler
        assert inner is not None

        def ollamas(outgoing: Outgoing) -> Played | Exception:
            self.assertTrue(outgoing.url.startswith("https://registry.ollama.ai/"), outgoing.url)
            path = outgoing.url.removeprefix("https://registry.ollama.ai")
            return inner(evolve(outgoing, url=UPSTREAM + path))

        self.upstream.handler = ollamas

    def test_pull(self) -> None:
        """A manifest by tag, blobs by HEAD and in parts, from where their Location leads."""
        accept = f"Accept: {DOCKER_MANIFEST}"
        manifest = Step(f"GET {REPOSITORY}/manifests/latest", (OLLAMA, accept))
        self.tags["latest"] = self.names["image"]
        for _ in range(2):
            status, _, body = self.play(manifest, "")
            self.assertEqual((status, digest_of(body)), (200, self.names["image"]))
            head = Step(f"HEAD {REPOSITORY}/blobs/{{layer}}", (OLLAMA,))
            status, headers, _ = self.play(head, "")
            self.assertEqual((status, headers.get("content-length")), (200, str(SIZE)))
            whole = Step(f"GET {REPOSITORY}/blobs/{{layer}}", (OLLAMA,))
            location = self.play(whole, "")[1].get("location") or ""
            for start in (0, 20_000, 40_000):
                stop = min(start + 20_000, SIZE)
                field = f"Range: bytes={start}-{stop - 1}"
                status, _, body = self.play(Step(f"GET {location}", (OLLAMA, field)), "")
                self.assertEqual((status, body), (206, self.bodies["layer"][start:stop]))
