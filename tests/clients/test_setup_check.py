"""``aimirror setup CLIENT --check`` for every client, against a mirror that answers and one that
does not.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys

import yaml

from aimirror.config import expanded
from aimirror.ecosystems.registry import CLIENTS, setting
from aimirror.settings.setting import Address
from aimirror.testing.site import Asked, File
from tests.clients.worlds import ROOT, WorldTests

#: Runs command lines that come as JSON, one after the other; tells status and words of each.
RUNNER = """
import contextlib, io, json, sys
from aimirror.cli import main

answers = []
for words in json.loads(sys.argv[1]):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        status = main(words)
    answers.append([status, out.getvalue()])
print(json.dumps(answers))
"""
#: Media types of what is read before it is passed on, by what its path has.
TYPES = {".json": "application/json", "/api/": "application/json", "/npm": "application/json"}


class CheckTests(WorldTests):
    def setUp(self) -> None:
        super().setUp()
        text = re.sub(r"\bhttps?://(?=[a-z])", f"{self.upstream.url}/", expanded(None))
        rules = yaml.safe_load(text)["rules"]
        self.upstream.fallback = self.answer
        self.start(*rules)

    def answer(self, asked: Asked) -> File | None:
        """Something for everybody; an empty JSON mapping where that is what is read."""
        path = asked.target.partition("?")[0]
        kind = next((kind for part, kind in TYPES.items() if part in path), "")
        content = b"{}" if kind else gzip.compress(b"x") if path.endswith(".gz") else b"x"
        return File(content, kind or "application/octet-stream")

    def run_lines(self, lines: list[list[str]], login: bool = False) -> list[tuple[int, str]]:
        """Status and words of command lines; ``login`` is for a shell that has read ~/.profile."""
        command = [sys.executable, "-c", RUNNER, json.dumps(lines)]
        if login:
            command = ["/bin/sh", "-c", '. "$HOME/.profile"; exec "$@"', "sh", *command]
        own = {"HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder / ".config")}
        own |= {"PYTHONPATH": str(ROOT), "RUSTUP_HOME": "/nowhere", "NO_COLOR": "1"}
        kept = {k: v for k, v in os.environ.items() if "proxy" not in k.lower() and k[:4] != "PIP_"}
        ended = subprocess.run(
            command, env=kept | own, capture_output=True, text=True, check=False, cwd=self.folder
        )
        self.assertEqual(ended.returncode, 0, ended.stderr)
        return [(status, words) for status, words in json.loads(ended.stdout)]

    def test_every_client(self) -> None:
        """Written, each says that it leads to the mirror, and the mirror answers what it asks."""
        own = [c for c in CLIENTS if setting(c, Address(self.mirror)).path.startswith("~")]
        url = ["--url", self.mirror]
        for client, (status, said) in zip(
            own, self.run_lines([["setup", c, *url, "--write"] for c in own]), strict=True
        ):
            self.assertEqual(status, 0, f"{client}: {said}")
        checks = self.run_lines([["setup", c, *url, "--check"] for c in CLIENTS], login=True)
        for client, (status, said) in zip(CLIENTS, checks, strict=True):
            self.assertIn("ok    mirror     answers ", said, client)
            if client in own:
                self.assertEqual(status, 0, said)
                self.assertIn(f"leads to {self.mirror}", said)

    def test_none(self) -> None:
        """Where nothing was written, or nothing answers, that is a failure with a remedy."""
        url = ["--url", "http://127.0.0.1:1"]
        for status, said in self.run_lines(
            [["setup", c, *url, "--check"] for c in ("npm", "deno")]
        ):
            self.assertEqual(status, 1)
            self.assertEqual(said.count("FAIL"), 2, said)
            self.assertIn("--write", said)
            self.assertIn("aimirror doctor", said)
