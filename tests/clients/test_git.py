"""git over smart HTTP through the github preset's way: nothing is cached, nothing is touched."""

from __future__ import annotations

import os
import subprocess

from aimirror.testing.site import Asked, File
from tests.clients.worlds import WorldTests, find_client


class GitTests(WorldTests):
    def setUp(self) -> None:
        super().setUp()
        self.git = find_client("git")
        self.upstream.fallback = self.backend
        self.start(
            {
                "name": "git",
                "path_prefix": "/github",
                "strip_prefix": True,
                "upstream": self.upstream.url,
            }
        )
        self.repositories = self.fresh("repositories")
        bare = self.repositories / "r.git"
        self.assertRuns([self.git, "init", "-q", "--bare", "-b", "main", str(bare)])
        self.assertRuns([self.git, "-C", str(bare), "config", "http.receivepack", "true"])

    def backend(self, asked: Asked) -> File:
        """``git http-backend``, the server's side, as a CGI program."""
        path, _, query = asked.target.partition("?")
        environment = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.repositories),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": asked.method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": asked.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(asked.body)),
            "HTTP_CONTENT_ENCODING": asked.headers.get("content-encoding", ""),
            "GIT_PROTOCOL": asked.headers.get("git-protocol", ""),
            "REMOTE_USER": "u",
        }
        done = subprocess.run(
            [self.git, "http-backend"],
            input=asked.body,
            env=environment,
            capture_output=True,
            check=True,
            timeout=30,
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        pairs = [line.partition(":") for line in head.decode().split("\r\n")]
        fields = [(name, value.strip()) for name, _, value in pairs]
        status = next((int(v.split()[0]) for n, v in fields if n == "Status"), 200)
        kind = next((v for n, v in fields if n == "Content-Type"), "text/plain")
        kept = tuple(f for f in fields if f[0] not in ("Status", "Content-Type"))
        return File(content, kind, status, kept)

    def test_push_and_clone(self) -> None:
        """A push of more than a megabyte and clones of what was pushed pass through, each fresh."""
        url = f"{self.mirror}/github/r.git"
        work = self.fresh("work")
        own = {"GIT_CONFIG_NOSYSTEM": "1", "HOME": str(work)}
        git = [self.git, "-c", "user.name=a", "-c", "user.email=a@example.org"]
        self.assertRuns([*git, "clone", "-q", url, "one"], work, **own)
        for turn in range(2):
            (work / "one/data.bin").write_bytes(os.urandom(1_200_000))
            self.assertRuns([*git, "add", "."], work / "one", **own)
            self.assertRuns([*git, "commit", "-qm", f"c{turn}"], work / "one", **own)
            self.assertRuns([*git, "push", "-q", "origin", "HEAD:main"], work / "one", **own)
            self.assertRuns([*git, "clone", "-q", url, f"clone{turn}"], work, **own)
            self.assertEqual(
                (work / f"clone{turn}/data.bin").read_bytes(),
                (work / "one/data.bin").read_bytes(),
            )
        versions = {a.headers.get("git-protocol") for a in self.upstream.requests}
        self.assertIn("version=2", versions)
        self.assertEqual([p for p in self.service.cache.rglob("blobs/*/*") if p.is_file()], [])
