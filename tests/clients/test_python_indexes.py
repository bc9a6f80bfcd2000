"""Indexes of every kind, and what else pip and uv ask of one, through the default rules."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import sys
import tarfile
import tomllib
from typing import Any

from attrs import evolve

from aimirror.ecosystems.pypi.pages import JSON
from aimirror.testing.client import Broken
from aimirror.testing.pypi import Wheel, wheel
from aimirror.testing.site import Asked, File, Site
from tests.clients.python_support import NO_OTHERS, PAYLOAD, PythonTests
from tests.clients.worlds import find_client

#: One for each way in which an index may link to its files, relative to /simple/NAME/.
LINKS = (
    "../../packages/files/{name}",
    "/packages/files/{name}?token=a%2Fb&x=1",
    "{files}/packages/files/{name}",
)


def sdist(name: str, version: str) -> Wheel:
    """A source archive that pip builds without any other project."""
    stem = f"{name}-{version}"
    backend = (
        "def get_requires_for_build_wheel(config=None): return []\n"
        "def prepare_metadata_for_build_wheel(folder, config=None):\n"
        "    import os\n"
        f"    info = '{name}-{version}.dist-info'\n"
        "    os.mkdir(os.path.join(folder, info))\n"
        "    with open(os.path.join(folder, info, 'METADATA'), 'w') as out:\n"
        f"        out.write('Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n')\n"
        "    return info\n"
    )
    project = (
        f'[project]\nname = "{name}"\nversion = "{version}"\n'
        '[build-system]\nrequires = []\nbuild-backend = "own"\nbackend-path = ["."]\n'
    )
    told = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    files = {"pyproject.toml": project, "own.py": backend, "PKG-INFO": told}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for path, text in files.items():
            info = tarfile.TarInfo(f"{stem}/{path}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return Wheel(f"{stem}.tar.gz", out.getvalue(), told.encode())


class PageTests(PythonTests):
    """Pages as indexes really write them."""

    def setUp(self) -> None:
        super().setUp()
        self.index.announces = self.index.has_sidecars = self.index.names_digests = False

    def page(self, told: Any, kind: str = JSON, *headers: tuple[str, str]) -> None:
        """One page for everybody, under /simple/demo-lib/."""
        text = told if isinstance(told, str) else json.dumps(told)
        headers = (("Cache-Control", "max-age=600"), *headers)
        self.index.pages.put("/simple/demo-lib/", text.encode(), kind, headers=headers)

    def file(self, name: str = "demo-lib", version: str = "1.5", size: int = 0) -> Wheel:
        made = wheel(name, version, [], size)
        for site in (self.index.pages, self.index.files):
            site.put(f"/packages/files/{made.filename}", made.content)
        return made

    def files(self, *made: Wheel, link: str = LINKS[2], **more: Any) -> dict[str, Any]:
        url = link.replace("{files}", self.index.files.url)
        return {
            "meta": {"api-version": "1.4"},
            "name": "demo-lib",
            "files": [
                {"filename": m.filename, "url": url.format(name=m.filename), "hashes": {}, **more}
                for m in made
            ],
        }

    def clients(self, *venvs: str) -> None:
        for venv in venvs or ("pip", "pip21", "uv"):
            install = self.uv if venv == "uv" else lambda *w: self.pip(venv, *w)  # noqa: B023
            folder, _ = install(venv, "demo-lib")
            self.assertTrue((folder / "demo_lib" / "__init__.py").exists(), venv)

    def test_json_alone(self) -> None:
        """An index that sends JSON whatever is asked serves clients that read HTML alone, too."""
        self.page(self.files(self.file()))
        self.serve()
        self.clients()
        self.settle()
        self.index.stop()
        for each in ("pip21", "pip"):
            self.assertTrue(self.pip(each, f"{each}-dead", "demo-lib")[0].is_dir())

    def test_links(self) -> None:
        """Relative links, links with a query, in HTML and JSON; each file is kept."""
        made = self.file()
        service = self.serve()
        for number, link in enumerate(LINKS):
            url = link.replace("{files}", self.index.files.url).format(name=made.filename)
            html = f'<html><body><a href="{url.replace("&", "&amp;")}">{made.filename}</a></body>'
            for kind, told in (("text/html", html), (JSON, self.files(made, link=link))):
                self.page(told, kind)
                folder, _ = self.pip("pip", f"l{number}{kind[-4:]}", "demo-lib")
                self.assertTrue((folder / "demo_lib").is_dir())
                folder, _ = self.uv(f"u{number}{kind[-4:]}", "demo-lib")
                self.assertTrue((folder / "demo_lib").is_dir())
                self.settle()
                self.purge(service, "simple/demo-lib")

    def test_compressed(self) -> None:
        """A page that comes compressed has its links led to the mirror all the same."""
        page = json.dumps(self.files(self.file())).encode()
        told = (("Content-Encoding", "gzip"), ("Cache-Control", "max-age=600"))
        packed = gzip.compress(page)
        self.index.pages.put("/simple/demo-lib/", packed, JSON, headers=told)
        service = self.serve()
        for _ in range(2):
            for accepted in ("identity", "gzip"):
                reply = service.get(
                    "/simple/demo-lib/", ("Accept", JSON), ("Accept-Encoding", accepted)
                )
                body = reply.body
                if reply.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                self.assertTrue(json.loads(body)["files"][0]["url"].startswith(self.mirror))
        self.clients("pip", "uv")

    def test_keys_are_kept(self) -> None:
        """What PEP 700, 708, 740 and 792 say of a project comes through whole."""
        own = {
            "size": 7,
            "upload-time": "2020-01-02T03:04:05.000000Z",
            "yanked": 'broken "twice" & <again>',
            "provenance": "https://pypi.org/integrity/x",
            "requires-python": ">=3.7,!=3.8.*",
            "gpg-sig": False,
            "core-metadata": False,
        }
        page = self.files(self.file(), **own)
        page["meta"] = {"api-version": "1.4", "_last-serial": 9, "tracks": ["https://a.b/simple/"]}
        page["alternate-locations"] = ["https://c.d/simple/demo-lib/"]
        page["project-status"] = {"status": "archived", "reason": "é"}
        page["versions"] = ["1.5"]
        self.page(page, JSON, ("X-PyPI-Last-Serial", "9"))
        for more in ({}, {"cooldown": "7d"}):
            service = self.serve(**more)
            reply = service.get("/simple/demo-lib/", ("Accept", JSON))
            url = page["files"][0]["url"].replace(self.index.files.url, self.mirror)
            told = {**page, "files": [{**page["files"][0], "url": url}]}
            self.assertEqual(json.loads(reply.body), told)
            self.assertEqual(reply.headers.get("x-pypi-last-serial"), "9")
            service.program.stop()

    def test_yanked(self) -> None:
        """A release that was taken back is passed over, unless it is asked for by its number."""
        old, new = self.file(), self.file(version="2.0")
        page = self.files(old, new)
        page["files"][1]["yanked"] = "broken"
        self.page(page)
        self.serve()
        for venv in ("pip", "uv"):
            install = self.uv if venv == "uv" else lambda *w: self.pip("pip", *w)
            folder, _ = install(f"{venv}-any", "demo-lib")
            self.assertTrue((folder / "demo_lib-1.5.dist-info").is_dir())
            folder, _ = install(f"{venv}-two", "demo-lib==2.0")
            self.assertTrue((folder / "demo_lib-2.0.dist-info").is_dir())

    def test_huge_page(self) -> None:
        """A page of 40 MB comes whole with all links, twice, and its digests are known."""
        made = self.file(size=100_000)
        page = self.files(made)
        filler = {
            "filename": "demo_lib-0.{n}-py3-none-any.whl",
            "url": f"{self.index.files.url}/packages/files/demo_lib-0.{{n}}-py3-none-any.whl",
            "hashes": {"sha256": "0" * 64},
            "requires-python": ">=3.8,!=3.9.0,!=3.9.1",
        }
        text = json.dumps(filler)
        many = [json.loads(text.replace("{n}", str(n))) for n in range(150_000)]
        page["files"] = [*many, *page["files"]]
        page["files"][-1]["hashes"] = {"sha256": "1" * 64}  # a lie, which must be noticed
        self.page(page)
        size = len(self.index.pages.files["/simple/demo-lib/"].content)
        self.assertGreater(size, 40_000_000)
        service = self.serve()
        for _ in range(2):
            reply = service.get("/simple/demo-lib/", ("Accept", JSON))
            self.assertEqual(reply.body.count(self.mirror.encode()), 150_001)
            self.assertNotIn(self.index.files.url.encode(), reply.body)
            self.settle()
        with contextlib.suppress(Broken):  # cut, or refused where nothing of it was sent yet
            self.assertEqual(service.get(f"/packages/files/{made.filename}").status, 502)
        self.assertNotKept(made.content)

    def test_names(self) -> None:
        """Dots, underscores and capitals in names of projects, files and requirements."""
        self.index.add(wheel("Zope.Inter_Face", "1.0.post1", [], PAYLOAD))
        self.serve()
        for venv in ("pip", "pip21", "uv"):
            install = self.uv if venv == "uv" else lambda *w: self.pip(venv, *w)  # noqa: B023
            folder, _ = install(venv, "zope_inter.FACE")
            self.assertTrue((folder / "zope_inter_face").is_dir())

    def test_all_projects(self) -> None:
        """The list of all projects, in both forms."""
        root = {"meta": {"api-version": "1.0"}, "projects": [{"name": "Demo.Lib"}]}
        self.index.pages.put("/simple/", json.dumps(root).encode(), JSON)
        service = self.serve()
        told = service.get("/simple/", ("Accept", JSON)).json()
        self.assertEqual(told["projects"], [{"name": "Demo.Lib"}])
        reply = service.get("/simple/", ("Accept", "text/html"))
        self.assertIn(b'<a href="demo-lib/">', reply.body)


class CommandTests(PythonTests):
    """What else pip and uv do with an index."""

    def test_sdist(self) -> None:
        """``pip download`` of a source archive, again without a byte, and with no index."""
        self.index.has_sidecars = self.index.announces = False
        self.index.add(sdist("demo_src", "1.0"))
        self.serve()
        for step in ("first", "second", "dead"):
            before = self.index.files.total()
            folder = self.fresh(step)
            command = [find_client("pip", "pip"), "download", "--no-cache-dir", "--no-deps"]
            command += ["--no-binary=:all:", "--index-url", self.simple, "demo-src"]
            self.assertRuns(command, folder, **NO_OTHERS)
            self.assertTrue((folder / "demo_src-1.0.tar.gz").exists())
            self.settle()
            self.assertEqual(self.index.files.total() > before, step == "first")
            if step == "second":
                self.index.stop()

    def test_require_hashes(self) -> None:
        """``--require-hashes`` takes what was pinned, and refuses what differs from it."""
        self.publish()
        self.serve()
        lines = []
        for project in ("demo-app", "demo-lib"):
            (release,) = self.index.releases[project]
            version = release.filename.split("-")[1]
            lines.append(f"{project}=={version} --hash=sha256:{release.sha256}")
        pinned = self.folder / "pinned.txt"
        pinned.write_text("\n".join(lines))
        folder, _ = self.pip("pip", "good", "--require-hashes", "-r", str(pinned))
        self.assertInstalled(folder)
        folder, _ = self.uv("good-uv", "--require-hashes", "-r", str(pinned))
        self.assertInstalled(folder)
        pinned.write_text(pinned.read_text().replace("sha256:", "sha256:0")[:-1])
        self.pip("pip", "bad", "--require-hashes", "-r", str(pinned), fails=True)

    def test_versions(self) -> None:
        """``pip index versions`` lists what there is."""
        for version in ("1.0", "1.5", "2.0"):
            self.index.add(wheel("demo-lib", version))
        self.serve()
        command = [find_client("pip", "pip"), "index", "versions", "demo-lib"]
        output = self.assertRuns([*command, "--index-url", self.simple], **NO_OTHERS)
        self.assertIn("2.0, 1.5, 1.0", output)

    def test_uv_project(self) -> None:
        """``uv lock`` obeys ``exclude-newer`` and names the mirror; ``uv sync`` needs no index."""
        self.publish()
        self.index.add(wheel("demo-lib", "9.0"), uploaded="2024-05-01T00:00:00Z")
        self.serve()
        folder = self.fresh("project")
        (folder / "pyproject.toml").write_text(
            '[project]\nname = "p"\nversion = "1"\nrequires-python = ">=3.11"\n'
            'dependencies = ["demo-app"]\n[tool.uv]\nexclude-newer = "2024-01-01T00:00:00Z"\n'
            f'[[tool.uv.index]]\nurl = "{self.simple}"\ndefault = true\n'
        )
        own = {"UV_NO_CACHE": "1", "UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never"}
        uv = find_client("uv", "uv")
        self.assertRuns([uv, "lock"], folder, **own)
        lock = tomllib.loads((folder / "uv.lock").read_text())
        locked = {p["name"]: p for p in lock["package"]}
        self.assertEqual(locked["demo-lib"]["version"], "1.5")
        (told,) = locked["demo-app"]["wheels"]
        self.assertTrue(told["url"].startswith(f"{self.mirror}/packages/"))
        self.assertEqual(
            told["size"], len(self.index.files.files[told["url"][len(self.mirror) :]].content)
        )
        self.assertRuns([uv, "sync", "--frozen"], folder, **own)
        self.settle()
        self.index.stop()
        again = self.fresh("again")
        for name in ("pyproject.toml", "uv.lock"):
            (again / name).write_text((folder / name).read_text())
        self.assertRuns([uv, "sync", "--locked"], again, **own)
        installed = next((again / ".venv" / "lib").iterdir()) / "site-packages"
        self.assertInstalled(installed)


class TroubleTests(PythonTests):
    """Upstreams that fail in the middle of it."""

    def test_reset(self) -> None:
        """A file whose connections are all reset after 300 kB comes whole to a client's one try."""
        path = self.index.add(wheel("demo-lib", "1.5", [], 2 * PAYLOAD))
        content = self.index.files.files[path].content
        self.index.files.files[path] = evolve(self.index.files.files[path], cut=300_000)
        service = self.serve()
        self.assertTrue(service.get(path).body == content)
        self.settle()
        sent = self.index.files.total(path)
        folder, _ = self.pip("pip", "pip", "demo-lib", "--retries=0")
        self.assertEqual(self.index.files.total(path), sent)
        self.assertTrue((folder / "demo_lib" / "data.bin").exists())

    def test_bursts(self) -> None:
        """Some 500 and 503 in a row do not fail an installation."""
        self.publish()
        counts: dict[str, int] = {}

        def failing(asked: Asked) -> File | None:
            count = counts[asked.target] = counts.get(asked.target, 0) + 1
            status = {1: 500, 2: 503}.get(count)
            return None if status is None else File(b"oops", "text/plain", status)

        self.index.pages.interrupt = self.index.files.interrupt = failing
        self.serve()
        self.assertInstalled(self.pip("pip", "pip", "demo.app")[0])
        counts.clear()
        self.assertInstalled(self.uv("uv", "demo.app")[0])

    def test_private_index(self) -> None:
        """What one login fetched is shown to no other, and costs little to repeat."""
        self.publish()
        right = "Basic YWxpY2U6c2VjcmV0"  # alice:secret

        def guarded(asked: Asked) -> File | None:
            if asked.headers.get("authorization") == right:
                return None
            return File(b"log in", "text/plain", 401, (("WWW-Authenticate", 'Basic realm="x"'),))

        self.index.pages.interrupt = self.index.files.interrupt = guarded
        service = self.serve()
        host = self.simple.removeprefix("http://")
        open_url = self.simple
        self.simple = f"http://alice:secret@{host}"
        self.assertInstalled(self.pip("pip", "first", "demo.app")[0])
        self.assertInstalled(self.uv("second", "demo.app")[0])
        self.settle()
        sent = self.index.files.total()
        self.assertInstalled(self.pip("pip", "third", "demo.app")[0])
        self.assertEqual(self.index.files.total(), sent)
        self.assertLess(sent, 1.5 * PAYLOAD)
        for url in (open_url, f"http://bob:wrong@{host}"):
            self.simple = url
            self.pip("pip", f"no{len(url)}", "demo.app", fails=True)
            self.uv(f"nouv{len(url)}", "demo.app", fails=True)
        (path,) = [p for p in self.index.files.files if "demo_app" in p and p.endswith(".whl")]
        for target in (path, path + ".metadata", "/simple/demo-app/"):
            self.assertEqual(service.get(target).status, 401, target)
            asked = len(self.index.files.requests) + len(self.index.pages.requests)
            for _ in range(3):
                reply = service.get(target, ("Authorization", right))
                self.assertEqual(reply.status, 200)
            now = len(self.index.files.requests) + len(self.index.pages.requests)
            self.assertLessEqual(now - asked, 1, target)

    def test_signed_redirects(self) -> None:
        """Files behind one-time addresses at a strict CDN come, the login staying at the index."""
        self.index.announces = self.index.has_sidecars = False
        self.publish()
        cdn = Site(files=self.index.files.files)
        right = "Basic YWxpY2U6c2VjcmV0"  # alice:secret
        signed: list[str] = []

        def index(asked: Asked) -> File | None:
            if asked.headers.get("authorization") != right:
                return File(b"", status=401, headers=(("WWW-Authenticate", 'Basic realm="x"'),))
            if not asked.target.startswith("/packages/"):
                return None
            signed.append(f"s={len(signed)}")
            onward = f"{cdn.url}{asked.target}?{signed[-1]}"
            return File(b"", status=302, headers=(("Location", onward),))

        def strict(asked: Asked) -> File | None:
            signature = asked.target.partition("?")[2]
            if "authorization" in asked.headers or asked.method != "GET":
                return File(b"one mechanism alone", status=400)
            if signature not in signed[-3:]:
                return File(b"expired", status=403)
            return None

        self.index.pages.interrupt = self.index.files.interrupt = index
        cdn.interrupt = strict
        cdn.start()
        self.addCleanup(cdn.stop)
        self.serve()
        self.simple = self.simple.replace("//", "//alice:secret@")
        self.assertInstalled(self.uv("uv", "demo.app")[0])
        self.assertInstalled(self.pip("pip", "pip", "demo.app")[0])
        self.settle()
        sent = cdn.total()
        self.assertInstalled(self.uv("again", "demo.app")[0])
        self.assertEqual(cdn.total(), sent)
