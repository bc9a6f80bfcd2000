"""A stored file that an index by now names another digest of is another file, in each world."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

from attrs import evolve
from twisted.internet.defer import ensureDeferred

from aimirror.indexes.proving import Hashes, Proving
from aimirror.routing.digests import Digest, new_hash
from aimirror.routing.policies import CachePolicy
from tests.ecosystems.support import WorldCase
from tests.mirror.support import Played, refused

OLD, NEW = b"the old build", b"the new build"


def hexed(algorithm: str, data: bytes) -> str:
    return hashlib.new(algorithm, data).hexdigest()


class ReplacedTests:
    """What is true of each world that has an index; ``says`` is its index of a file."""

    name = ""
    path = ""
    index = ""
    #: Whether an index of the next generation has another path.
    by_hash = False

    def says(self, data: bytes) -> bytes:
        raise NotImplementedError

    def built(self, data: bytes) -> bytes:
        """The file that has this inside."""
        return data

    def setUp(self: Any) -> None:
        super().setUp()  # type: ignore[misc]
        fields = {"immutable": self.immutable, "name": "files", "upstreams": ("https://up.test",)}
        self.use(ecosystem=self.name, cache=CachePolicy(negative_ttl=3600), **fields)

    @property
    def immutable(self: Any) -> re.Pattern[str]:
        return re.compile(re.escape(self.path) + "$|/by-hash/")

    def publish(self: Any, index: bytes, file: bytes) -> None:
        place = f"/d/dists/s/main/binary-all/by-hash/SHA256/{hexed('sha256', index)}"
        self.now = place if self.by_hash else self.index
        self.answers[self.now] = (200, ["Cache-Control: max-age=60"], index)
        self.answers[self.path] = (200, [], self.built(file))

    def read(self: Any) -> bytes:
        """A client reads the index, and the file that it names."""
        self.assertEqual(self.get(self.now)[0], 200)
        return self.fetch()

    def fetch(self: Any) -> bytes:
        """The whole file, or b"" where the client is given none."""
        client = self.ask(self.path)
        for _ in range(20):
            self.clock.advance(1)
        try:
            status, _, body = client.answer()
        except ValueError:  # cut off
            return b""
        return body if status == 200 else b""

    def test_followed(self: Any) -> None:
        """The file that the index names now is fetched; without a change no byte is."""
        self.publish(self.says(OLD), OLD)
        self.assertEqual(self.read(), self.built(OLD))
        self.clock.advance(100)
        self.assertEqual(self.read(), self.built(OLD))
        self.assertEqual(self.urls().count(f"GET {self.path}"), 1)
        self.clock.advance(100)
        self.publish(self.says(NEW), NEW)
        for _ in range(3):
            self.assertEqual(self.read(), self.built(NEW))
        self.assertEqual(self.urls().count(f"GET {self.path}"), 2)

    def test_remembered(self: Any) -> None:
        """Repeats are answered at once until an index comes that may name the file."""
        self.publish(self.says(OLD), OLD)
        self.read()
        self.clock.advance(1)
        self.fetch()
        kept = len(self.memo)
        self.assertGreater(kept, 0)
        asked = self.patched_take()
        self.assertEqual(self.get(self.path)[2], self.built(OLD))
        self.assertEqual(asked, [])
        self.clock.advance(100)
        self.fetch()
        self.publish(self.says(NEW), NEW)
        self.get(self.now)
        self.assertEqual(self.fetch(), self.built(NEW))

    def test_on_its_way(self: Any) -> None:
        """While an index arrives no answer is remembered: its client may know it already."""
        self.publish(self.says(OLD), OLD)
        self.read()
        self.clock.advance(100)
        self.fetch()
        index = self.says(NEW)
        self.publish(index, NEW)
        size = f"Content-Length: {len(index)}"
        slow = self.answers[self.now] = Played(200, "Cache-Control: max-age=60", size, body=None)
        client = self.ask(self.now)
        self.fetch()
        self.assertEqual([like for like in self.memo._answers if self.path.encode() in like], [])
        slow.data(index)
        slow.end()
        self.assertEqual(client.answer()[0], 200)
        self.assertEqual(self.fetch(), self.built(NEW))

    def patched_take(self: Any) -> list[str]:
        """The paths for which the world is asked from now on."""
        asked: list[str] = []
        take = Proving.take

        def counted(world: Proving, request: Any, *rest: Any) -> Any:
            asked.append(request.path)
            return take(world, request, *rest)

        self.patch(Proving, "take", counted)
        return asked

    def test_pinned(self: Any) -> None:
        """A pinned file stays pinned when it is replaced, also where the new one comes late."""
        self.publish(self.says(OLD), OLD)
        self.read()
        (entry,) = self.entries(self.path)
        self.store.put(evolve(entry, pinned=True))
        self.clock.advance(100)
        self.publish(self.says(NEW), NEW)
        late = self.answers.pop(self.path)
        self.assertEqual(self.read(), b"")
        self.clock.advance(100)
        self.publish(self.says(NEW), NEW)
        self.answers[self.path] = late
        self.assertEqual(self.read(), self.built(NEW))
        pinned = [(e.status, e.pinned) for e in self.entries(self.path)]
        self.assertEqual(pinned, [(200, True)])

    def test_there_by_now(self: Any) -> None:
        """A file that was not there is asked for again once a newer index names it."""
        self.publish(self.says(OLD), OLD)
        del self.answers[self.path]
        self.assertEqual(self.read(), b"")
        self.clock.advance(100)
        self.publish(self.says(NEW), NEW)
        self.assertEqual(self.read(), self.built(NEW))

    def test_offline(self: Any) -> None:
        """While the upstream is down the old file is not given out for the new name."""
        self.publish(self.says(OLD), OLD)
        self.assertEqual(self.read(), self.built(OLD))
        self.clock.advance(100)
        self.publish(self.says(NEW), OLD)
        self.get(self.now)
        self.upstream.handler = lambda outgoing: refused()
        self.assertEqual(self.fetch(), b"")

    def test_late(self: Any) -> None:
        """A file that the upstream has not replaced yet is refused, and followed later."""
        self.publish(self.says(OLD), OLD)
        self.read()
        self.clock.advance(100)
        self.publish(self.says(NEW), OLD)
        self.get(self.now)
        self.assertEqual(self.fetch(), b"")
        self.clock.advance(1000)
        self.publish(self.says(NEW), NEW)
        self.assertEqual(self.read(), self.built(NEW))

    def test_others(self: Any) -> None:
        """A newer index that says nothing of the file, or the same, leaves it alone."""
        self.publish(self.says(OLD), OLD)
        self.read()
        for index in (self.says(OLD) + b"\n", b"", b"\xff"):
            self.clock.advance(100)
            self.publish(index, NEW)
            self.assertEqual(self.read(), self.built(OLD))


class NpmTests(ReplacedTests, WorldCase):
    name, path, index = "npm", "/@s/a/-/a-1.0.0.tgz", "/@s%2fa"

    def says(self, data: bytes) -> bytes:
        sri = base64.b64encode(hashlib.sha512(data).digest()).decode()
        dist = {"tarball": "https://up.test/@s/a/-/a-1.0.0.tgz", "integrity": f"sha512-{sri}"}
        return json.dumps({"versions": {"1.0.0": {"dist": dist}}}).encode()


class OldNpmTests(NpmTests):
    """A document that names nothing but sha1."""

    def says(self, data: bytes) -> bytes:
        dist = {"tarball": "https://up.test/a-1.0.0.tgz", "shasum": hexed("sha1", data)}
        return json.dumps({"versions": {"1.0.0": {"dist": dist}}}).encode()


class CondaTests(ReplacedTests, WorldCase):
    name, path, index = "conda", "/noarch/a-1-0.conda", "/noarch/repodata.json"

    def says(self, data: bytes) -> bytes:
        return json.dumps(
            {"packages.conda": {"a-1-0.conda": {"sha256": hexed("sha256", data)}}}
        ).encode()


class CranTests(ReplacedTests, WorldCase):
    name, path, index = "cran", "/src/contrib/a_1.0.tar.gz", "/src/contrib/PACKAGES"

    def says(self, data: bytes) -> bytes:
        return f"Package: a\nVersion: 1.0\nMD5sum: {hexed('md5', data)}\n".encode()


class CranBinaryTests(CranTests):
    path = "/bin/windows/contrib/4.4/a_1.0.zip"
    index = "/bin/windows/contrib/4.4/PACKAGES"


class PpmTests(CranTests):
    path = "/cran/latest/src/contrib/a_1.0.tar.gz"
    index = "/cran/latest/src/contrib/PACKAGES"


class CargoTests(ReplacedTests, WorldCase):
    name, path, index = "cargo", "/tool/1.0.0/download", "/to/ol/tool"

    def says(self, data: bytes) -> bytes:
        return json.dumps({"vers": "1.0.0", "cksum": hexed("sha256", data)}).encode() + b"\n"


class RubyGemsTests(ReplacedTests, WorldCase):
    name, path, index = "rubygems", "/gems/a-1.0.gem", "/info/a"

    def says(self, data: bytes) -> bytes:
        return f"---\n1.0 |checksum:{hexed('sha256', data)}\n".encode()


class AptTests(ReplacedTests, WorldCase):
    name, path = "apt", "/d/pool/main/a/a_1_all.deb"
    index = "/d/dists/s/main/binary-all/Packages"

    def says(self, data: bytes) -> bytes:
        name = "pool/main/a/a_1_all.deb"
        return f"Package: a\nFilename: {name}\nSHA256: {hexed('sha256', data)}\n\n".encode()


class AptByHashTests(AptTests):
    by_hash = True


class AptFlatTests(AptTests):
    path, index = "/f/x86/a_1_all.deb", "/f/x86/Packages"

    def says(self, data: bytes) -> bytes:
        name = "./a_1_all.deb"
        return f"Package: a\nFilename: {name}\nSHA256: {hexed('sha256', data)}\n\n".encode()


class RpmTests(ReplacedTests, WorldCase):
    name, path = "rpm", "/os/Packages/a-1-1.noarch.rpm"
    index = "/os/repodata/primary.xml"

    def says(self, data: bytes) -> bytes:
        return (
            f'<package type="rpm"><checksum type="sha256" pkgid="YES">{hexed("sha256", data)}'
            '</checksum><location href="Packages/a-1-1.noarch.rpm"/></package>'
        ).encode()


class HashesTests(WorldCase):
    name = "npm"

    def test_read_once(self) -> None:
        """A stored file is hashed once for an algorithm; sha256 is known without that."""
        self.use()
        self.answers["/x"] = (200, ["Cache-Control: max-age=60"], OLD)
        self.get("/x")
        hashes = Hashes(self.library)
        (entry,) = self.entries("/x")
        for algorithm in ("sha256", "sha512", "sha1", "md5", "blake2b-256"):
            right = Digest(algorithm, new_hash(algorithm).hexdigest())
            self.assertTrue(self.successResultOf(ensureDeferred(hashes.differs(entry, right))))
        self.slow_threads = True
        for data, differs in ((OLD, False), (NEW, True)):
            told = ensureDeferred(hashes.differs(entry, Digest("sha512", hexed("sha512", data))))
            self.assertIs(self.successResultOf(told), differs)
