"""Tags and lists whose registry can't, may not or does not want to answer."""

from __future__ import annotations

import shutil

from aimirror.testing.processes import ServiceProgram
from aimirror.testing.registry import digest_of
from tests.e2e.test_oci import BLOB, BLOB_PATH, NAME, TYPE, OciTests

TAG = f"/v2/{NAME}/manifests/latest"
LIST = f"/v2/{NAME}/tags/list"


class MovedTests(OciTests):
    """A tag moves, and the manifest that it stands for now can't be had."""

    def moved(self) -> None:
        """One is served; then the tag stands for two, whose GET fails."""
        self.manifest("one", "latest")
        self.service = self.mirror()
        self.assertEqual(self.target(self.service, TAG).body, b"one")
        two = self.manifest("two", "latest")
        self.registry.policy(statuses={f"GET /v2/{NAME}/manifests/{two}": 429})

    def test_stale(self) -> None:
        """The last manifest that is stored whole is served, again and again, until two is had."""
        for status in (429, 500, 503, 404):
            self.moved()
            two = digest_of(b"two")
            failing = {f"GET /v2/{NAME}/manifests/{two}": status}
            self.registry.policy(statuses=failing, reason="not now")
            for _ in range(2):
                reply = self.target(self.service, TAG)
                told = (reply.status, reply.body, reply.headers.get("X-Cache"))
                self.assertEqual(told, (200, b"one", "STALE"), status)
            self.registry.policy()
            self.assertEqual(self.target(self.service, TAG).body, b"two")
            self.registry.policy(status=503, reason="not now")
            self.assertEqual(self.target(self.service, TAG).body, b"two")
            self.registry.policy()
            self.service.program.kill()
            shutil.rmtree(self.folder / "cache", ignore_errors=True)

    def test_after_head(self) -> None:
        """That a client asked with HEAD alone forgets nothing."""
        self.moved()
        head = self.service.get(TAG, ("Accept", TYPE), method="HEAD")
        self.assertEqual(head.status, 200)
        self.assertEqual(self.target(self.service, TAG).body, b"one")
        self.registry.policy(status=503)
        self.assertEqual(self.target(self.service, TAG).body, b"one")

    def test_no_right(self) -> None:
        """A registry that says no to the client is not overruled."""
        self.moved()
        self.registry.policy(status=403)
        self.assertRefused(self.target(self.service, TAG), 403, "DENIED")


class LifeTests(OciTests):
    def test_ttl(self) -> None:
        """With a life for tags, a registry is not asked again before it ends."""
        self.manifest("one", "latest")
        rule = {"name": "r", "pattern": "^/v2/", "handler": "handlers.docker"}
        rules = [{**rule, "upstream": self.registry.url, "cache": {"ttl": "1h"}}]
        service = ServiceProgram(self.folder, rules)
        self.addCleanup(service.program.kill)
        self.assertEqual(self.target(service, TAG).body, b"one")
        self.manifest("two", "latest")
        self.assertEqual(self.target(service, TAG).body, b"one")
        self.registry.program.kill()
        self.assertEqual(self.target(service, TAG).body, b"one")

    def test_deleted(self) -> None:
        """A tag that was deleted is gone, unless the registry's entry says to keep it."""
        for keep, wanted in ((False, 404), (True, 200)):
            self.manifest("one", "latest")
            table = {"docker.io": {"upstream": self.registry.url, "keep_deleted": keep}}
            service = self.mirror(registries=table)
            self.assertEqual(self.target(service, TAG).body, b"one")
            self.registry.policy(statuses={f"HEAD {TAG}": 404, f"GET {TAG}": 404})
            for _ in range(2):
                self.assertEqual(self.target(service, TAG).status, wanted)
            self.registry.policy()
            service.program.kill()


class LimitedTests(OciTests):
    def test_left_alone(self) -> None:
        """A registry that names a time is asked no more until then, whoever pulls how often."""
        self.manifest("one", "latest")
        service = self.mirror()
        self.assertEqual(self.target(service, TAG).body, b"one")
        self.registry.policy(status=429)
        before = self.registry.count("refused").requests
        for _ in range(30):
            reply = self.target(service, TAG)
            self.assertEqual((reply.body, reply.headers.get("X-Cache")), (b"one", "STALE"))
        unknown = self.target(service, "/v2/library/none/manifests/latest")
        self.assertRefused(unknown, 429, "TOOMANYREQUESTS")
        self.assertIn(unknown.headers.get("Retry-After"), [str(n) for n in range(1, 8)])
        self.assertLessEqual(self.registry.count("refused").requests - before, 5)


class ListTests(OciTests):
    def test_stale(self) -> None:
        """Lists of tags and of referrers are what they were last in an outage."""
        referrers = f"/v2/{NAME}/referrers/{BLOB}"
        for path in (LIST, referrers):
            said = {"text": '{"tags": ["a"]}', "media_type": "application/json"}
            self.registry.script({path: said})
        service = self.mirror()
        for path in (LIST, referrers):
            self.assertEqual(service.get(path).headers.get("X-Cache"), "PASS")
        self.registry.policy(status=503)
        for path in (LIST, referrers):
            reply = service.get(path)
            self.assertEqual((reply.status, reply.body), (200, b'{"tags": ["a"]}'), path)
            self.assertEqual(reply.headers.get("X-Cache"), "STALE")
        self.assertEqual(service.get(f"{LIST}?n=1").status, 503)
        self.registry.program.kill()
        self.assertEqual(service.get(LIST).status, 200)


class ReasonTests(OciTests):
    def test_passed(self) -> None:
        """The registry's own status, code and reason reach the client, whatever is asked for."""
        service = self.mirror()
        reason = "image with 3 vulnerabilities cannot be pulled"
        paths = (f"/v2/{NAME}/manifests/{BLOB}", TAG, BLOB_PATH, LIST)
        for status in (403, 404, 412, 429, 503):
            self.registry.policy(status=status, reason=reason)
            for path in (*paths, f"/v2/{NAME}/referrers/{BLOB}"):
                reply = self.target(service, path)
                self.assertEqual(reply.status, status, path)
                self.assertEqual(reply.json()["errors"][0]["message"], reason, path)
                self.assertEqual(reply.json()["errors"][0]["code"], "DENIED", path)
                self.assertEqual(service.get(path, ("Accept", TYPE), method="HEAD").status, status)

    def test_head_alone(self) -> None:
        """A registry that refuses HEAD, and answers GET, is one that does not know HEAD."""
        self.manifest("one", "latest")
        service = self.mirror()
        self.registry.policy(statuses={f"HEAD {TAG}": 403})
        for _ in range(2):
            self.assertEqual(self.target(service, TAG).body, b"one")
