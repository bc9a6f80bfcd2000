"""pip, uv, curl, npm, git and apt with aimirror as HTTP(S)_PROXY: tunnelled and intercepted."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bcrypt

from aimirror.testing.pypi import SimpleIndex, wheel
from aimirror.testing.site import Asked, Site
from tests.clients import test_git
from tests.clients.proxied import ProxiedTests
from tests.clients.test_npm import tarball
from tests.clients.worlds import find_client

#: Bytes of the data in the wheel: enough to be fetched in ranges.
PAYLOAD = 3_000_000


class PythonTests(ProxiedTests):
    def setUp(self) -> None:
        super().setUp()
        self.index = SimpleIndex(pages=Site(tls=self.tls), files=Site(tls=self.tls))
        self.index.start()
        self.addCleanup(self.index.stop)
        self.index.add(wheel("demo.app", "1.0", ["demo-lib"], PAYLOAD))
        self.index.add(wheel("demo-lib", "1.5"))
        self.rules = [
            {
                "name": "files",
                "pattern": r"^/packages/",
                "upstream": self.index.files.url,
                "strategy": "parallel",
                "min_size": 1,
                "chunk_size": 500_000,
                "immutable": True,
            },
            {
                "name": "index",
                "path_prefix": "/simple",
                "upstream": self.index.pages.url,
                "ecosystem": "pypi",
                "content_rewrite": {"targets": [self.index.files.url]},
            },
        ]

    def pip(self, name: str, trust: Path) -> Path:
        """This Python's own pip: CONNECT in HTTP/1.0 without Host before Python 3.12."""
        command = [sys.executable, "-m", "pip", "install", "--no-cache-dir"]
        return self.install(name, trust, [*command, "--disable-pip-version-check"])

    def uv(self, name: str, trust: Path) -> Path:
        command = [find_client("uv", "uv"), "pip", "install", "--no-cache", "--python"]
        return self.install(name, trust, [*command, sys.executable])

    def install(self, name: str, trust: Path, command: list[str]) -> Path:
        target = self.fresh(name) / "target"
        words = ["--target", str(target), "--index-url", f"{self.index.pages.url}/simple/"]
        self.assertRuns([*command, *words, "demo.app"], target.parent, **self.through(trust))
        self.assertEqual((target / "demo_app" / "data.bin").stat().st_size, PAYLOAD)
        self.assertTrue((target / "demo_lib" / "__init__.py").exists())
        return target

    def tunnelled(self, install: Callable[[str, Path], Path]) -> None:
        """What goes through a tunnel is end to end: the upstream's certificate, nothing kept."""
        self.serve(self.rules)
        install("through", self.trust)
        self.assertIn(f"CONNECT localhost:{self.index.files.port}", self.log())
        self.assertEqual([p for p in self._stored() if p.parent.parent.name == "blobs"], [])

    def intercepted(self, install: Callable[[str, Path], Path]) -> None:
        """First in ranges, second without a byte of a file, and the same files by index-url."""
        self.serve(self.rules, intercept=True)
        install("first", self.ca)
        self.settle()
        ranged = [a for a in self.index.files.requests if "range" in a.headers]
        self.assertGreater(len(ranged), 2)
        before = self.index.files.total()
        install("second", self.ca)
        self.assertEqual(self.index.files.total(), before)
        page = self.service.get("/simple/demo-app/", ("Accept", "text/html"))
        [path] = set(re.findall(r"/packages/[^\"#]*demo_app[^\"#]*\.whl(?=#)", page.body.decode()))
        reply = self.service.get(path)
        self.assertEqual((reply.status, reply.headers.get("x-cache")), (200, "HIT"))
        self.assertEqual(self.index.files.total(), before)
        self.index.stop()
        install("dead", self.ca)

    def log(self) -> str:
        """The service's log, tunnels included once they are over."""
        self.service.program.stop()
        return self.service.program.log.read_text()

    def test_pip_tunnelled(self) -> None:
        """pip by HTTPS_PROXY alone."""
        self.tunnelled(self.pip)

    def test_uv_tunnelled(self) -> None:
        """uv by HTTPS_PROXY alone."""
        self.tunnelled(self.uv)

    def test_pip_intercepted(self) -> None:
        """pip that trusts our authority."""
        self.intercepted(self.pip)

    def test_uv_intercepted(self) -> None:
        """uv that trusts our authority."""
        self.intercepted(self.uv)

    def test_links_stay(self) -> None:
        """A page that is asked for through the proxy leads to the upstream, as it was."""
        self.serve(self.rules, intercept=True)
        url = f"{self.index.pages.url}/simple/demo-app/"
        page = self.assertRuns([find_client("curl"), "-sS", url], **self.through(self.ca))
        self.assertIn(f"{self.index.files.url}/packages/", page)
        self.assertNotIn(self.mirror, page)
        own = self.service.get("/simple/demo-app/").body.decode()
        self.assertNotIn(self.index.files.url, own)


class CurlTests(ProxiedTests):
    def setUp(self) -> None:
        super().setUp()
        self.curl = find_client("curl")
        self.site = self.secure()
        self.site.put("/f/file.bin", b"x" * 2_000_000)
        self.rules = [
            {"name": "f", "upstream": self.site.url, "path_prefix": "/f", "immutable": True}
        ]

    def fetch(self, *words: str, trust: Path | None = None) -> list[str]:
        """Status of CONNECT, status of the answer, bytes."""
        command = [self.curl, "-s", "-o", str(self.folder / "out"), "-w"]
        command += ["%{http_connect} %{http_code} %{size_download}", *words]
        done = self.run_client(command, **self.through(trust or self.trust))
        return done.stdout.split()

    def test_login(self) -> None:
        """With users, the right login opens tunnels and interception alike; others are 407."""
        users = self.folder / "users"
        users.write_bytes(b"anna:" + bcrypt.hashpw(b"pw", bcrypt.gensalt(4)) + b"\n")
        url = f"{self.site.url}/f/file.bin"
        for intercept, trust in ((False, self.trust), (True, self.ca)):
            self.serve(self.rules, intercept=intercept, users=str(users))
            self.assertEqual(self.fetch(url, trust=trust)[0], "407")
            self.assertEqual(self.fetch("-U", "anna:no", url, trust=trust)[0], "407")
            right = self.fetch("-U", "anna:pw", url, trust=trust)
            self.assertEqual(right, ["200", "200", "2000000"])
            self.service.program.kill()

    def test_listening_with_tls(self) -> None:
        """The proxy itself behind TLS, as a mirror and as https:// proxy; renewed while it runs."""
        files = {"cert": str(self.folder / "site.pem"), "key": str(self.folder / "site.pem")}
        self.serve(self.rules, server={"tls": files})
        own = f"https://localhost:{self.service.port}"
        self.assertEqual(self.fetch("--noproxy", "*", f"{own}/f/file.bin")[1:], ["200", "2000000"])
        through = ["-x", own, "--proxy-cacert", str(self.trust)]
        url = f"{self.site.url}/f/file.bin"
        self.assertEqual(self.fetch(*through, url), ["200", "200", "2000000"])
        head = [self.curl, "-sI", "--noproxy", "*", f"{own}/f/file.bin"]
        self.assertIn("X-Cache: HIT", self.assertRuns(head, **self.through(self.trust)))


class NpmTests(ProxiedTests):
    def test_intercepted(self) -> None:
        """npm by HTTPS_PROXY: tarballs come from the cache the second time."""
        npm, registry = find_client("npm"), self.secure()
        content = tarball("a", "1.0.0", 3)
        registry.put("/a/-/a-1.0.0.tgz", content)
        dist = {
            "tarball": f"{registry.url}/a/-/a-1.0.0.tgz",
            "shasum": hashlib.sha1(content).hexdigest(),
        }
        version: dict[str, Any] = {"name": "a", "version": "1.0.0", "dist": dist}
        document = {"name": "a", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
        registry.put("/a", json.dumps(document).encode(), "application/json")
        self.serve(
            [{"preset": "npm", "upstream": registry.url, "chunk_size": 300_000}], intercept=True
        )
        for name in ("first", "second"):
            project = self.fresh(name)
            (project / "package.json").write_text('{"name": "p", "version": "1.0.0"}')
            (project / ".npmrc").write_text(
                f"registry={registry.url}/\ncafile={self.ca}\nfund=false\nnoproxy=\n"
                "update-notifier=false\naudit=false\nfetch-retries=0\n"
            )
            words = ["install", "--cache", str(project / "cache"), "a"]
            self.assertRuns([npm, *words], project, **self.through(self.ca))
            self.assertTrue((project / "node_modules/a/data.bin").exists())
            self.settle()
        self.assertEqual(registry.total(".tgz"), len(content))


class GitTests(ProxiedTests):
    def test_both(self) -> None:
        """git clones by HTTPS_PROXY, through a tunnel and intercepted."""
        self.git, site = find_client("git"), self.secure()
        self.repositories = self.fresh("repositories")
        bare = self.repositories / "r.git"
        self.assertRuns([self.git, "init", "-q", "--bare", "-b", "main", str(bare)])
        own = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        tree = self.fresh("tree")
        self.assertRuns([self.git, "init", "-q", "-b", "main"], tree)
        (tree / "file").write_text("content")
        self.assertRuns([self.git, "add", "."], tree)
        self.assertRuns([self.git, *own, "commit", "-qm", "c"], tree)
        self.assertRuns([self.git, "push", "-q", str(bare), "main"], tree)

        def backend(asked: Asked) -> Any:
            return test_git.GitTests.backend(self, asked)  # type: ignore[arg-type]

        site.fallback = backend
        rules = [{"name": "git", "upstream": site.url}]
        for intercept, trust in ((False, self.trust), (True, self.ca)):
            self.serve(rules, intercept=intercept)
            work = self.fresh(f"work-{intercept}")
            command = [self.git, "clone", "-q", f"{site.url}/r.git", "clone"]
            self.assertRuns(command, work, **self.through(trust, GIT_CONFIG_NOSYSTEM="1"))
            self.assertEqual((work / "clone/file").read_text(), "content")
            self.service.program.kill()


class AptTests(ProxiedTests):
    def test_absolute(self) -> None:
        """apt by Acquire::http::Proxy: URLs of plain HTTP, from the cache the second time."""
        find_client("apt-get")
        build = self.fresh("build")
        (build / "DEBIAN").mkdir()
        (build / "DEBIAN/control").write_text(
            "Package: tool\nVersion: 1.0\nArchitecture: all\nMaintainer: a <a@example.org>\n"
            "Description: a tool\n"
        )
        deb = self.folder / "tool.deb"
        self.assertRuns([find_client("dpkg-deb"), "-Znone", "--build", str(build), str(deb)])
        content = deb.read_bytes()
        listed = (
            "Package: tool\nVersion: 1.0\nArchitecture: all\nMaintainer: a <a@example.org>\n"
            f"Description: a tool\nFilename: tool.deb\nSize: {len(content)}\n"
            f"SHA256: {hashlib.sha256(content).hexdigest()}\n\n"
        )
        self.upstream.put("/d/Packages", listed.encode())
        self.upstream.put("/d/tool.deb", content)
        self.serve([{"name": "d", "upstream": self.upstream.url, "immutable": r"\.deb$"}])
        for name in ("first", "second"):
            root = self.fresh(name)
            self.apt(root, "update")
            self.apt(root, "download", "tool")
            self.assertEqual((root / "tool_1.0_all.deb").read_bytes(), content)
            self.settle()
        self.assertEqual(self.upstream.total(".deb"), len(content))

    def apt(self, root: Path, *words: str) -> None:
        """apt-get with ``root`` for all that it reads and writes."""
        for folder in ("etc/apt/preferences.d", "lists/partial", "cache/archives/partial"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        (root / "sources.list").write_text(f"deb [trusted=yes] {self.upstream.url}/d /\n")
        (root / "status").touch()
        options = {
            "Dir::Etc": str(root / "etc/apt"),
            "Dir::Etc::sourcelist": str(root / "sources.list"),
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": str(root / "lists"),
            "Dir::State::status": str(root / "status"),
            "Dir::Cache": str(root / "cache"),
            "APT::Sandbox::User": "",
            "Acquire::Languages": "none",
            "Acquire::Retries": "0",
            "Acquire::http::Proxy": self.mirror,
        }
        given = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        self.assertRuns([find_client("apt-get"), *given, *words], root)
