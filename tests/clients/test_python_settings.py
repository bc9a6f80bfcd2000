"""The settings of docs/ecosystems/python.md, as they are written there but for the address."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.clients.python_support import NO_OTHERS, PythonTests
from tests.clients.worlds import ROOT, find_client

DOCUMENT = ROOT / "docs" / "ecosystems" / "python.md"


class SettingTests(PythonTests):
    def setUp(self) -> None:
        super().setUp()
        self.publish(0)
        self.serve()

    def written(self, client: str) -> list[list[str]]:
        """The commands of the document's table for a client, word by word."""
        found = re.search(rf"^\| {client} \| (.*) \|$", DOCUMENT.read_text(), re.MULTILINE)
        assert found is not None
        commands = re.findall(r"`([^`]+)`", found[1])
        return [self.placed(command).split() for command in commands]

    def placed(self, text: str) -> str:
        """With the address of this test's mirror."""
        host = self.mirror.removeprefix("http://")
        return text.replace("MIRROR:8081", host).replace("MIRROR", "127.0.0.1")

    def project(self, table: str) -> Path:
        """A project whose pyproject.toml has the document's lines for a tool."""
        folder = self.fresh("project")
        text = re.search(r"```toml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
        assert text is not None
        (own,) = [part for part in text[1].split("\n\n") if f"[[tool.{table}." in part]
        more = {"poetry": "[tool.poetry]\npackage-mode = false\n", "pdm": "", "uv": ""}[table]
        (folder / "pyproject.toml").write_text(
            '[project]\nname = "p"\nversion = "1"\nrequires-python = ">=3.11"\n'
            f'dependencies = ["demo-lib"]\n{more}{self.placed(own)}\n'
        )
        return folder

    def assertAsked(self) -> None:
        """The mirror was asked, and no other index."""
        self.assertIn("/simple/demo-lib/", [a.target for a in self.index.pages.requests])

    def test_pip(self) -> None:
        """``pip config set``."""
        pip = find_client("pip", "pip")
        own = {**NO_OTHERS, "PIP_CONFIG_FILE": "", "XDG_CONFIG_HOME": str(self.folder / "config")}
        for command in self.written("pip"):
            self.assertEqual(command[0], "pip")
            self.assertRuns([pip, *command[1:]], **own)
        target = ["install", "--no-cache-dir", "--target", str(self.folder / "t")]
        self.assertRuns([pip, *target, "demo-lib"], **own)
        self.assertAsked()

    def test_uv(self) -> None:
        """uv's variable."""
        (variable, *_) = self.written("uv")
        name, _, value = variable[0].partition("=")
        command = [find_client("uv", "uv"), "pip", "install", "--no-cache", "--python"]
        target = [sys.executable, "--target", str(self.folder / "t"), "demo-lib"]
        self.assertRuns([*command, *target], **{name: value})
        self.assertAsked()

    def test_uv_project(self) -> None:
        """uv's table."""
        folder = self.project("uv")
        own = {"UV_NO_CACHE": "1", "UV_PYTHON": sys.executable}
        self.assertRuns([find_client("uv", "uv"), "sync"], folder, **own)
        self.assertAsked()

    def test_poetry(self) -> None:
        """poetry's table, and its command that writes such a one."""
        folder = self.project("poetry")
        own = {
            "POETRY_CACHE_DIR": str(folder / "cache"),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        }
        poetry = find_client("poetry", "poetry")
        self.assertRuns([poetry, "lock", "--no-interaction"], folder, **own)
        self.assertAsked()
        file = folder / "pyproject.toml"
        file.write_text(file.read_text().partition("[[tool.poetry.source]]")[0])
        commands = [each for each in self.written("poetry") if each[0] == "poetry"]
        self.assertEqual(len(commands), 1)
        for command in commands:
            self.assertRuns([poetry, *command[1:], "--no-interaction"], folder, **own)
        self.assertIn(f'url = "{self.simple}"', file.read_text())

    def test_pdm(self) -> None:
        """pdm's table, and its configuration."""
        folder = self.project("pdm")
        own = {"PDM_CACHE_DIR": str(folder / "cache"), "PDM_CHECK_UPDATE": "0"}
        pdm = find_client("pdm", "pdm")
        own["PDM_CONFIG_FILE"] = str(folder / "config.toml")
        self.assertRuns([sys.executable, "-m", "venv", "--without-pip", ".venv"], folder)
        own["PDM_PYTHON"] = str(folder / ".venv" / "bin" / "python")
        own["PDM_IGNORE_SAVED_PYTHON"] = "1"
        self.assertRuns([pdm, "lock"], folder, **own)
        self.assertAsked()
        file = folder / "pyproject.toml"
        file.write_text(file.read_text().partition("[[tool.pdm.source]]")[0])
        for command in self.written("pdm"):
            self.assertRuns([pdm, *command[1:]], folder, **own)
        self.purge(self.service, "simple/demo-lib")
        self.index.pages.requests.clear()
        (folder / "pdm.lock").unlink()
        self.assertRuns([pdm, "lock"], folder, **{**own, "PDM_CACHE_DIR": str(folder / "new")})
        self.assertAsked()
