"""Registries that are scripted to be difficult: tokens, a strict CDN, limits, bad bytes."""

from __future__ import annotations

import base64
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

from aimirror.testing import client
from aimirror.testing.processes import OriginProgram, Program, ServiceProgram
from aimirror.testing.registry import described, digest_of
from tests.e2e.support import CONTENT, SIZE, EndToEndTests, InBackground

TYPE = "application/vnd.oci.image.manifest.v1+json"
BLOB = digest_of(CONTENT)
NAME = "library/app"
BLOB_PATH = f"/v2/{NAME}/blobs/{BLOB}"


class RegistryProgram(OriginProgram):
    """``python -m aimirror.testing.registry``."""

    def __init__(self, log: Path) -> None:
        command = [sys.executable, "-m", "aimirror.testing.registry", "0"]
        self.program = Program(command, log)
        self.port = int(self.program.wait_for(re.compile(r"listening (\d+)\n"))[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def policy(self, **policy: Any) -> None:
        body = json.dumps(policy).encode()
        client.request(self.port, "/_origin/policy", method="POST", body=body)


def basic(told: str) -> tuple[str, str]:
    return ("Authorization", "Basic " + base64.b64encode(told.encode()).decode())


class OciTests(EndToEndTests):
    def setUp(self) -> None:
        super().setUp()
        self.registry = RegistryProgram(self.folder / "registry.log")
        self.addCleanup(self.registry.program.kill)

    def mirror(self, **sections: Any) -> ServiceProgram:
        rules = [
            {**self.rule(), "name": "docker-blob", "pattern": "/v2/.*/blobs/sha256:[a-f0-9]+"},
            {"name": "docker-registry", "pattern": "/v2/.*", "handler": "handlers.docker"},
        ]
        own = ({**rule, "upstream": self.registry.url} for rule in rules)
        service = ServiceProgram(self.folder, list(own), **sections)
        self.addCleanup(service.program.kill)
        return service

    def blob(self, path: str = BLOB_PATH, **behaviour: Any) -> None:
        self.registry.script({path: {"size": SIZE, "seed": 7, **behaviour}})

    def manifest(self, text: str, *tags: str, name: str = NAME) -> str:
        self.registry.script(described(name, text.encode(), TYPE, *tags))
        return digest_of(text.encode())

    def assertRefused(self, reply: client.Reply, status: int, code: str) -> None:
        self.assertEqual(reply.status, status, reply.body[:300])
        self.assertEqual(reply.json()["errors"][0]["code"], code)

    def target(self, service: ServiceProgram, path: str, *fields: tuple[str, str]) -> client.Reply:
        return service.get(path, ("Accept", TYPE), *fields)


class TokenTests(OciTests):
    def test_taken_for_the_client(self) -> None:
        """One anonymous token serves all that come without one; hits need none."""
        self.registry.policy(auth="token")
        digest = self.manifest('{"a": 1}', "latest")
        self.blob()
        service = self.mirror()
        reply = self.target(service, "/v2/app/manifests/latest")
        self.assertEqual((reply.status, reply.body), (200, b'{"a": 1}'))
        told = [reply.headers.get(n) for n in ("Content-Type", "Docker-Content-Digest", "ETag")]
        self.assertEqual(told, [TYPE, digest, f'"{digest}"'])
        self.assertWhole(service.get(BLOB_PATH))
        self.settle(service)
        self.assertEqual(service.get(BLOB_PATH).headers.get("X-Cache"), "HIT")
        self.assertEqual(self.registry.count("/token").requests, 1)

    def test_expires_midway(self) -> None:
        """A token that the registry refuses in the middle of a download is replaced."""
        self.registry.policy(auth="token")
        self.blob(rate=1_500_000)
        service = self.mirror()
        pull = InBackground(service.get, BLOB_PATH)
        time.sleep(0.4)
        self.registry.policy(auth="token", generation=2)
        self.assertWhole(pull.result())
        self.assertEqual(self.registry.count("/token").requests, 2)

    def test_private(self) -> None:
        """A private blob comes for its readers, from the cache too, and for nobody else."""
        users = {"alice": "a", "bob": "b"}
        self.registry.policy(auth="token", users=users, private={NAME: ["alice"]})
        self.blob()
        service = self.mirror()
        self.assertWhole(service.get(BLOB_PATH, basic("alice:a")))
        self.settle(service)
        sent = self.registry.count(BLOB_PATH).body_bytes
        scope = f"/v2/auth?service=docker.io&scope=repository:{NAME}:pull"
        token = service.get(scope, basic("alice:a")).json()["token"]
        again = service.get(BLOB_PATH, ("Authorization", f"Bearer {token}"))
        self.assertWhole(again)
        self.assertEqual(self.registry.count(BLOB_PATH).body_bytes, sent)
        self.assertRefused(service.get(BLOB_PATH), 401, "UNAUTHORIZED")
        self.assertRefused(service.get(BLOB_PATH, basic("bob:b")), 401, "UNAUTHORIZED")
        self.assertRefused(service.get(BLOB_PATH, basic("alice:x")), 401, "UNAUTHORIZED")
        self.assertRefused(service.get(scope, basic("alice:x")), 401, "UNAUTHORIZED")

    def test_joined_by_readers_alone(self) -> None:
        """A running private download is not joined by those who may not read it."""
        self.registry.policy(auth="token", users={"alice": "a"}, private={NAME: ["alice"]})
        self.blob(rate=2_000_000)
        service = self.mirror()
        pull = InBackground(service.get, BLOB_PATH, basic("alice:a"))
        time.sleep(0.4)
        self.assertRefused(service.get(BLOB_PATH), 401, "UNAUTHORIZED")
        self.assertWhole(service.get(BLOB_PATH, basic("alice:a")))
        self.assertWhole(pull.result())

    def test_basic(self) -> None:
        """A registry that knows Basic alone is served through tokens of the mirror."""
        self.registry.policy(auth="basic", users={"alice": "a"})
        self.blob()
        service = self.mirror()
        ping = service.get("/v2/")
        self.assertEqual(ping.status, 401)
        realm = f'Bearer realm="http://127.0.0.1:{service.port}/v2/auth",service="docker.io"'
        self.assertEqual(ping.headers.get("WWW-Authenticate"), realm)
        self.assertRefused(service.get("/v2/auth", basic("alice:x")), 401, "UNAUTHORIZED")
        token = service.get("/v2/auth", basic("alice:a")).json()["token"]
        bearer = ("Authorization", f"Bearer {token}")
        self.assertEqual(service.get("/v2/", bearer).status, 200)
        self.assertWhole(service.get(BLOB_PATH, bearer))
        self.assertRefused(service.get(BLOB_PATH), 401, "UNAUTHORIZED")

    def test_no_anonymous(self) -> None:
        """Where the configuration says so, those who bring nothing get nothing."""
        self.blob()
        service = self.mirror(registries={"docker.io": {"anonymous": False}})
        self.assertRefused(service.get(BLOB_PATH), 401, "UNAUTHORIZED")


class UpstreamTests(OciTests):
    def test_signed_addresses(self) -> None:
        """Redirects to a strict CDN work without Authorization; expired ones are asked for anew."""
        self.registry.policy(auth="token")
        cdn = f"{self.registry.url.replace('127.0.0.1', 'localhost')}/cdn/blob"
        self.blob(redirect=cdn, signs=True, signed_for=1.0)
        self.blob("/cdn/blob", needs_signature=True, rate=1_200_000)
        service = self.mirror(server={"allow_private": ["localhost"]})
        head = service.get(BLOB_PATH, method="HEAD")
        self.assertEqual((head.status, head.headers.get("Content-Length")), (200, str(SIZE)))
        self.assertEqual(head.headers.get("Docker-Content-Digest"), BLOB)
        self.assertWhole(service.get(BLOB_PATH))
        self.settle(service)
        self.assertEqual(service.get(BLOB_PATH).headers.get("X-Cache"), "HIT")

    def test_ranges(self) -> None:
        """Parts of a blob, also past its end, cold and stored."""
        self.blob()
        service = self.mirror()
        for _ in range(2):
            part = service.get(BLOB_PATH, ("Range", "bytes=1000-1999"))
            self.assertEqual((part.status, part.body), (206, CONTENT[1000:2000]))
            past = service.get(BLOB_PATH, ("Range", f"bytes={SIZE}-"))
            self.assertEqual(past.status, 416)
            self.settle(service)

    def test_bad_bytes(self) -> None:
        """A blob that does not match its digest never ends as complete, and is not kept."""
        self.blob(seed=8)
        service = self.mirror()
        try:
            reply = service.get(BLOB_PATH)
        except client.Broken as broken:
            self.assertLess(len(broken.received), SIZE)
        else:
            self.assertGreaterEqual(reply.status, 500)
        self.settle(service)
        self.assertEqual(service.get("/stats").json()["cache"]["file_count"], 0)

    def test_shared_by_digest(self) -> None:
        """Another repository's equal blob is not fetched, if its registry has it at all."""
        self.blob()
        other = f"/v2/library/other/blobs/{BLOB}"
        self.blob(other)
        service = self.mirror()
        self.assertWhole(service.get(BLOB_PATH))
        self.settle(service)
        self.assertRefused(service.get(f"/v2/library/none/blobs/{BLOB}"), 404, "BLOB_UNKNOWN")
        self.assertWhole(service.get(other))
        self.assertEqual(self.registry.count(other).body_bytes, 0)

    def test_tag_while_down(self) -> None:
        """A tag follows its registry; in an outage or at its limit it is what it was."""
        self.manifest("one", "latest")
        service = self.mirror()
        path = f"/v2/{NAME}/manifests/latest"
        self.assertEqual(self.target(service, path).body, b"one")
        two = self.manifest("two", "latest")
        self.assertEqual(self.target(service, path).body, b"two")
        self.assertEqual(self.registry.count(path).requests, 0, "tags are asked about with HEAD")
        self.registry.policy(status=429, reason="enough")
        reply = self.target(service, path)
        self.assertEqual((reply.body, reply.headers.get("X-Cache")), (b"two", "STALE"))
        unknown = self.target(service, "/v2/library/none/manifests/latest")
        self.assertRefused(unknown, 429, "DENIED")  # the registry's own code
        self.registry.program.kill()
        head = service.get(path, ("Accept", TYPE), method="HEAD")
        told = [head.headers.get(name) for name in ("Content-Length", "Docker-Content-Digest")]
        self.assertEqual((head.status, told), (200, ["3", two]))
        self.assertEqual(self.target(service, f"/v2/{NAME}/manifests/{two}").body, b"two")
        self.assertRefused(
            self.target(service, f"/v2/{NAME}/manifests/{digest_of(b'x')}"), 502, "UNAVAILABLE"
        )

    def test_lists(self) -> None:
        """Pages of tags lead back to the mirror, in the words of the client."""
        link = f'<{self.registry.url}/v2/{NAME}/tags/list?n=2&last=b>; rel="next"'
        said = {"text": "{}", "media_type": "application/json", "headers": [("Link", link)]}
        self.registry.script({f"/v2/{NAME}/tags/list": said})
        service = self.mirror()
        reply = service.get("/v2/app/tags/list?n=2&ns=docker.io")
        told = '</v2/app/tags/list?n=2&last=b&ns=docker.io>; rel="next"'
        self.assertEqual((reply.status, reply.headers.get("Link")), (200, told))

    def test_refusals(self) -> None:
        """Errors are those of the specification, with the registry's status."""
        service = self.mirror()
        for path, status, code in (
            (f"/v2/{NAME}/manifests/none", 404, "MANIFEST_UNKNOWN"),
            (BLOB_PATH, 404, "BLOB_UNKNOWN"),
            (f"/v2/{NAME}/blobs/sha256:abc", 400, "DIGEST_INVALID"),
            ("/v2/evil.test/app/manifests/x", 404, "NAME_UNKNOWN"),
            (f"/v2/{NAME}/manifests/x?ns=169.254.169.254", 404, "NAME_UNKNOWN"),
            ("/v2/UPPER/manifests/x", 404, "NAME_INVALID"),
            ("/v2/_catalog", 404, "UNSUPPORTED"),
        ):
            self.assertRefused(service.get(path), status, code)
        for method, path in (
            ("POST", f"/v2/{NAME}/blobs/uploads/"),
            ("PUT", f"/v2/{NAME}/manifests/x"),
            ("PATCH", f"/v2/{NAME}/blobs/uploads/1"),
            ("DELETE", BLOB_PATH),
        ):
            refused = client.request(service.port, path, method=method, body=b"x")
            self.assertRefused(refused, 405, "UNSUPPORTED")
            self.assertIn("pulling", refused.json()["errors"][0]["message"])
        self.assertEqual(self.registry.count(BLOB_PATH).requests, 1)

    def test_referrers(self) -> None:
        """Referrers are passed on, and so is that a registry knows none."""
        path = f"/v2/{NAME}/referrers/{BLOB}"
        index = '{"schemaVersion": 2, "manifests": []}'
        kind = "application/vnd.oci.image.index.v1+json"
        self.registry.script({path: {"text": index, "media_type": kind}})
        service = self.mirror()
        reply = service.get(f"{path}?artifactType=a%2Fb")
        told = (reply.status, reply.headers.get("Content-Type"), reply.body.decode())
        self.assertEqual(told, (200, kind, index))
        # an error of the specification would keep clients from looking at the tag instead
        none = service.get(f"/v2/library/none/referrers/{BLOB}")
        self.assertEqual((none.status, none.body), (404, b"404 page not found\n"))

    def test_broken_login(self) -> None:
        """A tag whose token service is down is what it was; once the registry says no, it is no."""
        self.registry.policy(auth="token")
        self.manifest("one", "latest")
        service = self.mirror()
        path = f"/v2/{NAME}/manifests/latest"
        self.assertEqual(self.target(service, path).body, b"one")
        self.registry.policy(auth="token", private={NAME: ["alice"]}, generation=2)
        self.assertRefused(self.target(service, path), 401, "UNAUTHORIZED")
        self.registry.policy(status=503)
        self.assertEqual(self.target(service, path).body, b"one")


class FailoverTests(OciTests):
    """A registry with two upstreams."""

    def setUp(self) -> None:
        super().setUp()
        self.second = RegistryProgram(self.folder / "second.log")
        self.addCleanup(self.second.program.kill)

    def both(self, **sections: Any) -> ServiceProgram:
        upstreams = [self.registry.url, self.second.url]
        return self.mirror(registries={"quay.io": {"upstream": upstreams}}, **sections)

    def test_first_down(self) -> None:
        """What the first one can't give comes from the second one; what is stored from neither."""
        for registry in (self.registry, self.second):
            registry.policy(auth="token")
            registry.script(described(NAME, b"one", TYPE, "latest"))
            registry.script({BLOB_PATH: {"size": SIZE, "seed": 7}})
        service = self.both()
        tag, blob = (f"/v2/quay.io/{NAME}/{what}" for what in ("manifests/latest", f"blobs/{BLOB}"))
        self.assertEqual(self.target(service, tag).body, b"one")
        self.registry.policy(status=503)
        self.assertEqual(self.target(service, tag).body, b"one")
        self.assertEqual(self.second.count(f"/v2/{NAME}/manifests/latest").heads, 1)
        self.assertWhole(service.get(blob))
        self.settle(service)
        self.registry.program.kill()
        self.assertEqual(service.get(blob).headers.get("X-Cache"), "HIT")
        self.assertEqual(self.target(service, tag).body, b"one")
        self.second.program.kill()
        reply = self.target(service, tag)
        self.assertEqual((reply.body, reply.headers.get("X-Cache")), (b"one", "STALE"))
        self.assertWhole(service.get(blob))
        other = self.target(service, f"/v2/quay.io/{NAME}/manifests/none")
        self.assertRefused(other, 502, "UNAVAILABLE")

    def test_credentials_stay(self) -> None:
        """A password goes to the first one alone, also when that is down."""
        for registry in (self.registry, self.second):
            registry.policy(auth="token", users={"alice": "a"}, private={NAME: ["alice"]})
            registry.script({BLOB_PATH: {"size": SIZE, "seed": 7}})
        service = self.both()
        self.registry.policy(status=503)
        reply = service.get(f"/v2/quay.io/{NAME}/blobs/{BLOB}", basic("quay.io/alice:a"))
        self.assertRefused(reply, 503, "UNAVAILABLE")
        self.assertEqual(self.second.count("/token").requests, 0)
        self.assertEqual(self.second.count("refused").requests, 0)
