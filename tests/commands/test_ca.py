"""``aimirror ca``: made once, shown, explained."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aimirror.cli import main
from aimirror.forward.authority import CERTIFICATE, KEY


class CaTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.config = self.folder / "aimirror.yaml"
        self.write("https://pypi.org")

    def write(self, *upstreams: str) -> None:
        rules = [{"name": f"r{i}", "upstream": url} for i, url in enumerate(upstreams)]
        self.config.write_text(json.dumps({"rules": rules, "forward": {"ca_dir": "ca"}}))

    def run_ca(self, *words: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(["ca", words[0], "-c", str(self.config), *words[1:]])
        return status, out.getvalue(), err.getvalue()

    def test_init(self) -> None:
        """The authority is for the hosts of the rules, in the folder that the file names."""
        self.write("https://pypi.org", "https://h.example:8443/x", "http://plain.example")
        status, out, _ = self.run_ca("init")
        self.assertEqual(status, 0)
        self.assertIn("h.example, pypi.org", out)
        self.assertNotIn("plain.example", out)
        self.assertTrue((self.folder / "ca" / KEY).exists())
        self.assertEqual(self.run_ca("show")[1].splitlines()[:5], out.splitlines()[:5])

    def test_twice(self) -> None:
        """A second one is refused in one line, until it is wanted."""
        self.run_ca("init")
        before = (self.folder / "ca" / CERTIFICATE).read_bytes()
        status, _, err = self.run_ca("init")
        self.assertEqual((status, len(err.splitlines())), (1, 1))
        self.assertEqual((self.folder / "ca" / CERTIFICATE).read_bytes(), before)
        self.assertEqual(self.run_ca("init", "--force", "--days", "30")[0], 0)
        self.assertNotEqual((self.folder / "ca" / CERTIFICATE).read_bytes(), before)

    def test_elsewhere(self) -> None:
        """--dir goes before the file."""
        self.run_ca("init", "--dir", str(self.folder / "other"))
        self.assertTrue((self.folder / "other" / KEY).exists())

    def test_hint(self) -> None:
        """Each client that is promised is there, with the certificate's path and no key."""
        self.run_ca("init")
        _, out, _ = self.run_ca("install-hint")
        for word in ("pip", "uv", "curl", "npm", "git", "docker", "Java", "Python", "Debian"):
            self.assertIn(word, out)
        self.assertIn(str(self.folder / "ca" / CERTIFICATE), out)
        self.assertNotIn("PRIVATE", out)

    def test_mistakes(self) -> None:
        """What is missing is told in one line."""
        status, _, err = self.run_ca("show")
        self.assertEqual(status, 1)
        self.assertIn("aimirror ca init", err)
        self.write("http://plain.example")
        self.assertIn("nothing to intercept", self.run_ca("init")[2])
