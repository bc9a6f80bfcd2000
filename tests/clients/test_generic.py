"""Any HTTP source by one rule, with curl, wget and aria2c; hosts named by the path; signed URLs."""

from __future__ import annotations

import hashlib

from aimirror.testing.behaviour import pattern
from aimirror.testing.site import Asked, File
from tests.clients.worlds import WorldTests, find_client

SIZE = 3_000_000
CONTENT = pattern(SIZE, 13)


class OneRuleTests(WorldTests):
    def setUp(self) -> None:
        super().setUp()
        self.start(
            {"name": "m", "path_prefix": "/m", "strip_prefix": True, "upstream": self.upstream.url}
        )

    def test_fixed_file(self) -> None:
        """A file with an explicit life comes from the cache, for every downloader, resumed too."""
        self.upstream.put("/f.bin", CONTENT, headers=(("Cache-Control", "max-age=3600"),))
        url = f"{self.mirror}/m/f.bin"
        self.assertRuns([find_client("curl"), "-fsS", "-o", "a", url])
        self.settle()
        (self.folder / "b").write_bytes(CONTENT[:1_000_000])
        self.assertRuns([find_client("curl"), "-fsS", "-C", "-", "-o", "b", url])
        for name in ("a", "b"):
            self.assertTrue((self.folder / name).read_bytes() == CONTENT, name)
        self.assertEqual(self.upstream.total(), SIZE)
        self.upstream.stop()
        self.assertTrue(self.service.get("/m/f.bin").body == CONTENT)

    def test_other_downloaders(self) -> None:
        """wget -N asks with its date and gets 304; aria2c gets ranges over several connections."""
        self.upstream.put("/f.bin", CONTENT, headers=(("Cache-Control", "max-age=3600"),))
        url = f"{self.mirror}/m/f.bin"
        wget = [find_client("wget"), "-N", "-nv", url]
        self.assertRuns(wget)
        self.settle()
        self.assertRuns(wget)
        self.assertEqual((self.folder / "f.bin").read_bytes(), CONTENT)
        aria2 = [find_client("aria2c"), "-q", "-x4", "-k1M", "-s4", "-o", "c", url]
        self.assertRuns(aria2)
        self.assertTrue((self.folder / "c").read_bytes() == CONTENT)
        self.assertEqual(self.upstream.total(), SIZE)

    def test_resumed(self) -> None:
        """Downloads that clients resume, of files that nobody had before, and whole ones."""
        for number, command in enumerate(
            (["wget", "-nv", "-c", "-O"], ["curl", "-fsS", "-C", "-", "-o"])
        ):
            name = f"f{number}.bin"
            self.upstream.put(f"/{name}", CONTENT)
            (self.folder / name).write_bytes(CONTENT[:1_234_567])
            command = [find_client(command[0]), *command[1:], name, f"{self.mirror}/m/{name}"]
            self.assertRuns(command)
            self.assertTrue((self.folder / name).read_bytes() == CONTENT, name)
            self.run_client(command)  # curl says that there is nothing more to get
            self.assertTrue((self.folder / name).read_bytes() == CONTENT, name)

    def test_many_connections(self) -> None:
        """aria2c with eight connections to a file that nobody had before, nearly each byte once."""
        self.upstream.put("/f.bin", CONTENT)
        aria2 = [find_client("aria2c"), "-q", "-x8", "-k1M", "-s8", "-o", "c"]
        self.assertRuns([*aria2, f"{self.mirror}/m/f.bin"])
        self.assertTrue((self.folder / "c").read_bytes() == CONTENT)
        self.settle()
        self.assertLess(self.upstream.total(), 1.5 * SIZE)
        self.upstream.stop()
        self.assertTrue(self.service.get("/m/f.bin").body == CONTENT)

    def test_told_digest(self) -> None:
        """A file that is not what its own answer says is not given out whole, and not kept."""
        told = (("X-Checksum-Sha256", hashlib.sha256(CONTENT).hexdigest()),)
        self.upstream.put("/f.bin", CONTENT, headers=told)
        self.upstream.put("/g.bin", CONTENT, headers=told)
        self.upstream.spoil("/g.bin")
        curl = [find_client("curl"), "-fsS", "-o", "x"]
        self.assertRuns([*curl, f"{self.mirror}/m/f.bin"])
        self.assertFails([*curl, f"{self.mirror}/m/g.bin"])
        self.assertNotKept(self.upstream.files["/g.bin"].content)

    def test_changing_file(self) -> None:
        """A file without a life of its own is asked about again, and a new version shows up."""
        asked = (("Cache-Control", "no-cache"),)
        self.upstream.put("/list", b"one" * 500, "text/plain", headers=asked)
        self.assertEqual(self.service.get("/m/list").body, b"one" * 500)
        self.settle()
        self.assertEqual(self.service.get("/m/list").headers.get("X-Cache"), "REVALIDATED")
        self.upstream.put("/list", b"two" * 500, "text/plain", headers=asked)
        self.assertEqual(self.service.get("/m/list").body, b"two" * 500)


class SpecialRuleTests(WorldTests):
    def test_links_back(self) -> None:
        """Links of a mounted upstream lead to its mount, in whatever of the bodies wanted."""
        self.start(
            {
                "name": "m",
                "path_prefix": "/m",
                "strip_prefix": True,
                "upstream": f"{self.upstream.url}/base",
                "content_rewrite": {},
            }
        )
        page = f'<a href="{self.upstream.url}/base/x.zip">x</a><a href="/base/y.zip">y</a>'
        self.upstream.put("/base/", page.encode(), "text/html")
        body = self.service.get("/m/").body.decode()
        self.assertIn(f'"{self.mirror}/m/x.zip"', body)
        self.assertIn('"/m/y.zip"', body)

    def test_named_hosts(self) -> None:
        """``/http://host/path`` reaches the listed hosts and no other."""
        host = f"127.0.0.1:{self.upstream.port}"
        self.start({"name": "any", "upstream": "*", "allow": [host], "strategy": "parallel"})
        self.upstream.put("/a/f.bin", CONTENT)
        self.assertTrue(self.service.get(f"/http://{host}/a/f.bin").body == CONTENT)
        for other in ("localhost", f"127.0.0.1:{self.service.port}", "example.org"):
            self.assertEqual(self.service.get(f"/http://{other}/a/f.bin").status, 400, other)

    def test_release_files(self) -> None:
        """A file behind signed redirects, new each time, is fetched once, by its original URL."""
        rule = {
            "name": "github-releases",
            "pattern": "^/.*/releases/download/.+",
            "upstream": self.upstream.url,
            "strategy": "parallel",
        }
        self.start(rule)
        self.upstream.fallback = self.signed
        path = "/o/r/releases/download/v1/f.bin"
        self.assertTrue(self.service.get(path).body == CONTENT)
        self.settle()
        before = self.upstream.total()
        self.assertTrue(self.service.get(path).body == CONTENT)
        self.assertEqual(self.upstream.total(), before)

    def signed(self, asked: Asked) -> File | None:
        """Redirects to an address that differs each time."""
        if asked.target.startswith("/signed/"):
            tag = hashlib.sha256(CONTENT).hexdigest()[:16]
            return File(CONTENT, headers=(("ETag", f'"{tag}"'),))
        number = len(self.upstream.requests)
        place = f"{self.upstream.url}/signed/{number}?signature={number}"
        return File(b"", "text/html", 302, (("Location", place),))
