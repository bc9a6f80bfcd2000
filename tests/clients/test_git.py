"""git over smart HTTP through the github preset's way: nothing is cached, nothing is touched."""

from __future__ import annotations

import os
import subprocess

from aimirror.testing.site import Asked, File
from tests.clients.defaults import default_rules
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
                "cache": {"stale_if_error": "7d"},
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
        self.assertEqual([p for p in self._stored() if p.parent.parent.name == "blobs"], [])

    def test_shallow_and_chunked(self) -> None:
        """A push whose length is not known before its end, and clones of the last commit alone."""
        url = f"{self.mirror}/github/r.git"
        work = self.fresh("work")
        own = {"GIT_CONFIG_NOSYSTEM": "1", "HOME": str(work)}
        git = [self.git, "-c", "user.name=a", "-c", "user.email=a@example.org"]
        git += ["-c", "http.postBuffer=65536"]
        self.assertRuns([*git, "init", "-q", "-b", "main", "one"], work, **own)
        for turn in range(3):
            (work / "one/data.bin").write_bytes(os.urandom(3_000_000))
            self.assertRuns([*git, "add", "."], work / "one", **own)
            self.assertRuns([*git, "commit", "-qm", f"c{turn}"], work / "one", **own)
        self.assertRuns([*git, "push", "-q", url, "HEAD:main"], work / "one", **own)
        pushed = [a for a in self.upstream.requests if a.target.endswith("git-receive-pack")]
        self.assertIn("chunked", [a.headers.get("transfer-encoding") for a in pushed])
        self.assertRuns([*git, "clone", "-q", "--depth", "1", url, "shallow"], work, **own)
        told = self.assertRuns([*git, "log", "--oneline"], work / "shallow", **own)
        self.assertEqual(len(told.splitlines()), 1)
        self.assertRuns([*git, "fetch", "-q", "--unshallow"], work / "shallow", **own)
        told = self.assertRuns([*git, "log", "--oneline"], work / "shallow", **own)
        self.assertEqual(len(told.splitlines()), 3)

    def test_hub(self) -> None:
        """Repositories of the hub, by the built-in rules: cloned, changed and cloned again."""
        self.service.program.kill()
        self.start(
            *default_rules("huggingface", huggingface_co=self.upstream.url),
            {"name": "default", "pattern": ".*", "upstream": "http://127.0.0.1:9"},
        )
        work = self.fresh("work")
        own = {"GIT_CONFIG_NOSYSTEM": "1", "HOME": str(work)}
        git = [self.git, "-c", "user.name=a", "-c", "user.email=a@example.org"]
        for number, name in enumerate(("ns/model", "datasets/ns/data", "spaces/ns/app", "gpt2")):
            bare = self.repositories / name
            self.assertRuns([self.git, "init", "-q", "--bare", "-b", "main", str(bare)])
            self.assertRuns([self.git, "-C", str(bare), "config", "http.receivepack", "true"])
            url = f"{self.mirror}/{name}"
            self.assertRuns([*git, "clone", "-q", url, f"one{number}"], work, **own)
            for turn in range(2):
                (work / f"one{number}/config.json").write_text(f'{{"turn": {turn}}}')
                self.assertRuns([*git, "add", "."], work / f"one{number}", **own)
                self.assertRuns([*git, "commit", "-qm", "c"], work / f"one{number}", **own)
                push = [*git, "push", "-q", "origin", "HEAD:main"]
                self.assertRuns(push, work / f"one{number}", **own)
                clone = f"clone{number}{turn}"
                self.assertRuns([*git, "clone", "-q", "--depth=1", url, clone], work, **own)
                told = (work / clone / "config.json").read_text()
                self.assertEqual(told, f'{{"turn": {turn}}}')

    def test_large_file_batch(self) -> None:
        """Git LFS asks by POST where objects are: body, type, login and answer stay as they are."""
        answer = b'{"objects": [{"oid": "ab", "actions": {"download": {"href": "https://x/ab"}}}]}'
        path = "/r.git/info/lfs/objects/batch"
        self.upstream.fallback = lambda asked: File(answer, "application/vnd.git-lfs+json")
        body, kind = '{"operation": "download"}', "application/vnd.git-lfs+json"
        command = [find_client("curl"), "-fsS", "-H", f"Content-Type: {kind}", "-d", body]
        command += ["-H", f"Accept: {kind}", "-u", "a:b", f"{self.mirror}/github{path}"]
        for _ in range(2):
            self.assertEqual(self.assertRuns(command).encode(), answer)
        asked = self.upstream.requests
        self.assertEqual([(a.method, a.target) for a in asked], [("POST", path)] * 2)
        self.assertEqual(asked[0].body.decode(), body)
        told = [asked[0].headers.get(name) for name in ("content-type", "accept", "authorization")]
        self.assertEqual(told, [kind, kind, "Basic YTpi"])
