"""pip (two generations), uv, poetry and pdm through the default rules for PyPI."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from twisted.trial.unittest import SkipTest

from aimirror.testing.client import Broken, request
from aimirror.testing.processes import RelayProgram
from aimirror.testing.pypi import wheel
from tests.clients.defaults import default_rules
from tests.clients.python_support import PAYLOAD, PythonTests
from tests.clients.worlds import find_client

#: Bytes of the data in the large wheel.
LARGE = 100_000_000
#: Seconds that a busy machine may take for what needs no time.
SLACK = 0.25


class ClientTests(PythonTests):
    # -- each client -------------------------------------------------------------------------

    def test_pip(self) -> None:
        """pip installs; again without a byte of a file; and with no index at all."""
        self.publish()
        self.serve()
        self.thrice(lambda name: self.pip("pip", name, "demo.app")[0])
        asked = [a.target for a in self.index.pages.requests]
        self.assertEqual(asked, ["/simple/demo-app/", "/simple/demo-lib/"])

    def test_pip_21(self) -> None:
        """pip 21, which knows HTML alone, does the same, also after a client that took JSON."""
        self.publish()
        self.serve()
        self.uv("uv", "demo.app")
        self.thrice(lambda name: self.pip("pip21", name, "demo.app")[0])

    def test_uv(self) -> None:
        """uv does the same."""
        self.publish()
        self.serve()
        self.thrice(lambda name: self.uv(name, "demo.app")[0])

    def test_poetry(self) -> None:
        """poetry locks and installs through the mirror, and again with no index."""
        self.publish()
        self.serve()
        self.thrice(self.poetry)

    def poetry(self, name: str) -> Path:
        folder = self.fresh(name)
        (folder / "pyproject.toml").write_text(
            '[project]\nname = "p"\nversion = "1"\nrequires-python = ">=3.11"\n'
            'dependencies = ["demo-app"]\n[tool.poetry]\npackage-mode = false\n'
            f'[[tool.poetry.source]]\nname = "mirror"\nurl = "{self.simple}"\n'
        )
        own = {
            "POETRY_VIRTUALENVS_IN_PROJECT": "true",
            "POETRY_CACHE_DIR": str(folder / "cache"),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        }
        command = [find_client("poetry", "poetry"), "install", "--no-interaction"]
        self.assertRuns([command[0], "lock", "--no-interaction"], folder, **own)
        self.assertRuns(command, folder, **own)
        return next((folder / ".venv" / "lib").iterdir()) / "site-packages"

    def test_pdm(self) -> None:
        """pdm locks and installs through the mirror, and again with no index."""
        self.publish()
        self.serve()
        self.thrice(self.pdm)

    def pdm(self, name: str) -> Path:
        folder = self.fresh(name)
        (folder / "pyproject.toml").write_text(
            '[project]\nname = "p"\nversion = "1"\nrequires-python = ">=3.11"\n'
            'dependencies = ["demo-app"]\n[tool.pdm]\ndistribution = false\n'
            f'[[tool.pdm.source]]\nname = "pypi"\nurl = "{self.simple}"\nverify_ssl = false\n'
        )
        own = {
            "PDM_CACHE_DIR": str(folder / "cache"),
            "PDM_CHECK_UPDATE": "0",
            "PDM_IGNORE_SAVED_PYTHON": "1",
            "PDM_PYTHON": str(folder / ".venv" / "bin" / "python"),
        }
        pdm = find_client("pdm", "pdm")
        # Its own environment in the folder, lest it takes that in which the tests run.
        self.assertRuns([sys.executable, "-m", "venv", "--without-pip", ".venv"], folder)
        self.assertRuns([pdm, "install", "--no-self"], folder, **own)
        return next((folder / ".venv" / "lib").iterdir()) / "site-packages"

    # -- what all of them need ---------------------------------------------------------------

    def test_lazy_wheels(self) -> None:
        """Without sidecars uv and pip read metadata by ranges, of which HEAD tells the truth."""
        self.index.announces = self.index.has_sidecars = False
        self.publish()
        self.serve()
        self.assertInstalled(self.uv("uv", "demo.app")[0])
        self.assertInstalled(self.pip("pip", "pip", "--use-feature=fast-deps", "demo.app")[0])

    def test_missing_sidecars(self) -> None:
        """Sidecars that pages name and the index has not are made from the wheels."""
        self.index.has_sidecars = False
        self.publish()
        self.serve()
        self.assertInstalled(self.uv("uv", "demo.app")[0])
        self.assertInstalled(self.pip("pip", "pip", "demo.app")[0])
        self.index.stop()
        self.assertInstalled(self.uv("dead", "demo.app")[0])

    def test_html_alone(self) -> None:
        """An index that knows no JSON and does not say that it negotiates serves all clients."""
        self.index.speaks_json = self.index.varies = False
        self.publish()
        self.serve()
        self.assertInstalled(self.pip("pip", "pip", "demo.app")[0])
        self.assertInstalled(self.uv("uv", "demo.app")[0])
        self.assertInstalled(self.pip("pip21", "pip21", "demo.app")[0])

    def test_unsaid_negotiation(self) -> None:
        """An index that negotiates without Vary gives each client what that client reads."""
        self.index.varies, self.index.life = False, ""
        self.publish()
        self.serve()
        self.assertInstalled(self.pip("pip", "pip", "demo.app")[0])
        self.assertInstalled(self.pip("pip21", "pip21", "demo.app")[0])

    def test_other_form(self) -> None:
        """With no index a page that was stored as JSON serves clients that read HTML alone."""
        self.publish()
        self.serve()
        self.assertInstalled(self.uv("uv", "demo.app")[0])
        self.settle()
        self.index.stop()
        self.assertInstalled(self.pip("pip21", "pip21", "demo.app")[0])

    def test_unknown(self) -> None:
        """A project that there is not is not found, at once."""
        self.serve()
        _, output = self.pip("pip", "pip", "nothing-here", fails=True)
        self.assertIn("No matching distribution", output)
        _, output = self.uv("uv", "nothing-here", fails=True)
        self.assertIn("not found in the package registry", output)

    def test_corrupt(self) -> None:
        """A wheel that is not what its page says is neither installed nor kept."""
        self.index.names_digests = False
        path = self.index.add(wheel("demo.app", "1.0", [], PAYLOAD))
        self.serve()
        self.index.files.spoil(path)
        self.pip("pip", "pip", "demo.app", "--retries=0", fails=True)
        self.assertNotKept(self.index.files.files[path].content)
        self.index.files.spoil(path)  # back to what it was

    def test_digest_after_restart(self) -> None:
        """A page that was stored before a restart still tells what its files must hash to."""
        self.index.names_digests = False
        path = self.index.add(wheel("demo-lib", "1.5", [], PAYLOAD))
        service = self.serve()
        self.assertEqual(service.get("/simple/demo-lib/").status, 200)
        self.settle()
        service.program.stop()
        self.index.files.spoil(path)
        service = self.serve()
        with self.assertRaises(Broken):
            service.get(path)
        self.assertNotKept(self.index.files.files[path].content)

    def test_cooldown(self) -> None:
        """What is younger than the cooldown is shown to no client, and the log says so."""
        young = (datetime.now(UTC) - timedelta(days=2)).isoformat()
        self.index.add(wheel("demo.app", "1.0", ["demo-lib"], PAYLOAD))
        self.index.add(wheel("demo.app", "2.0", ["demo-lib"], PAYLOAD), uploaded=young)
        self.index.add(wheel("demo-lib", "1.5"))
        service = self.serve(cooldown="7d")
        for folder, _ in (
            self.pip("pip", "pip", "demo.app"),
            self.pip("pip21", "pip21", "demo.app"),
            self.uv("uv", "demo.app"),
        ):
            self.assertInstalled(folder)
            self.assertTrue((folder / "demo_app-1.0.dist-info").is_dir())
        self.assertIn("/simple/demo-app/: 1 files hidden", service.program.log_end())

    def test_new_release(self) -> None:
        """A release is seen when the page's life is over, not before."""
        self.index.life = "max-age=3"
        self.index.add(wheel("demo-lib", "1.5"))
        service = self.serve()
        page = ("/simple/demo-lib/", ("Cache-Control", "max-age=0"))
        self.assertNotIn(b"2.0", service.get(*page).body)
        self.index.add(wheel("demo-lib", "2.0"))
        self.assertNotIn(b"2.0", service.get(*page).body)
        self.assertEqual(len(self.index.pages.requests), 1)
        time.sleep(3.1)
        folder, _ = self.pip("pip", "pip", "demo-lib")
        self.assertTrue((folder / "demo_lib-2.0.dist-info").is_dir())

    def test_purge(self) -> None:
        """``aimirror purge simple/NAME`` shows a new release at once, however NAME is spelt."""
        self.index.add(wheel("demo-lib", "1.5"))
        service = self.serve()
        for number, spelling in enumerate(("simple/demo-lib", "/simple/Demo_Lib/")):
            self.assertEqual(service.get("/simple/demo-lib/").status, 200)
            self.settle()
            self.index.add(wheel("demo-lib", f"2.{number}"))
            self.purge(service, spelling)
            self.assertIn(f"2.{number}".encode(), service.get("/simple/demo-lib/").body)

    def test_redirect(self) -> None:
        """A name that is not normalised leads to the page under its normalised name."""
        self.publish()
        service = self.serve()
        for path in ("/simple/Demo.App", "/simple/Demo.App/", "/simple/demo-app"):
            reply = service.get(path)
            told = (reply.status, reply.headers.get("location"))
            self.assertEqual(told, (301, "/simple/demo-app/"))

    def test_mounted(self) -> None:
        """An index mounted beside keeps its clients, with links of every kind."""
        made = wheel("demo-lib", "1.5+cu1", [], PAYLOAD)
        site = self.upstream
        site.put(f"/whl/cu1/{made.filename}", made.content)
        quoted = made.filename.replace("+", "%2B")
        site.put(f"/whl/cu1/{quoted}", made.content)
        digest = hashlib.sha256(made.content).hexdigest()
        page = f'<a href="/whl/cu1/{quoted}#sha256={digest}">{made.filename}</a>'
        forbidding = (("Cache-Control", "no-cache, no-store, must-revalidate"),)
        site.put("/whl/cu1/demo-lib/", page.encode(), "text/html", headers=forbidding)
        self.start(
            {"preset": "python", "path_prefix": "/torch", "upstream": f"{site.url}/whl"},
        )
        self.simple = f"{self.mirror}/torch/cu1/"
        self.pip("pip", "first", "demo-lib")
        self.settle()
        before = site.total(".whl")
        self.uv("second", "demo-lib")
        self.assertEqual(site.total(".whl"), before)
        site.stop()
        self.pip("pip21", "dead", "demo-lib")

    def test_public(self) -> None:
        """A small package of the public index, where AIMIRROR_PUBLIC=1 says that it is in reach."""
        if os.environ.get("AIMIRROR_PUBLIC") != "1":
            raise SkipTest("AIMIRROR_PUBLIC=1 allows a request to the public index")
        self.start(*default_rules("pip-"))
        self.simple = f"{self.mirror}/simple/"
        for number, install in enumerate((self.uv, lambda *words: self.pip("pip", *words))):
            folder, _ = install(f"p{number}", "iniconfig")
            self.assertTrue((folder / "iniconfig" / "__init__.py").exists())

    def test_large(self) -> None:
        """100 MB over a slow network: the second install is five times as fast as the first."""
        relay = RelayProgram(
            self.folder / "relay.log", self.index.files.port, rate=2_000_000, round_trip=0.05
        )
        self.addCleanup(relay.program.kill)
        self.index.files_url = f"http://127.0.0.1:{relay.port}"
        path = self.index.add(wheel("big", "1.0", [], LARGE))
        service = self.serve()
        service.wait_for_workers()
        direct = request(relay.port, path, [("Range", "bytes=0-99")])
        replies = []
        for _ in range(2):
            replies.append(service.get(path))
            self.assertEqual(replies[-1].sha256, self.index.releases["big"][0].sha256)
            self.settle()
        self.assertLess(replies[0].first_byte, direct.first_byte + 0.05 + SLACK)
        self.assertLess(replies[1].took, replies[0].took / 5)
        self.pip("pip", "pip", "big")
        self.assertLess(relay.passed()["to_clients"], 1.05 * LARGE)
