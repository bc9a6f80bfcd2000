"""``aimirror setup`` on real files."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aimirror.cli import main


class SetupTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir(parents=True)
        self.patch(os, "environ", {**os.environ, "HOME": str(self.home)})
        os.environ["HOME"] = str(self.home)

    def run_setup(self, *words: str) -> tuple[int, str]:
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            status = main(["setup", *words])
        return status, out.getvalue()

    def test_printed(self) -> None:
        """Without --write nothing is written."""
        status, said = self.run_setup("npm", "--url", "http://mirror:1")
        self.assertEqual(status, 0)
        self.assertIn("registry=http://mirror:1/registry/npm/", said)
        self.assertEqual(list(self.home.iterdir()), [])

    def test_own_url(self) -> None:
        """Without --url it is where the configuration says that the mirror is reached."""
        config = self.home / "config.yaml"
        rule = "rules: [{name: r, upstream: 'http://h'}]\n"
        tls = "tls: {cert: c.pem, key: k.pem}"
        for server, wanted in (
            ("port: 1234", "http://localhost:1234/"),
            (f"host: '::1', port: 1234, {tls}", "https://[::1]:1234/"),
            (f"public_host: 'mirror:1', {tls}", "https://mirror:1/"),
            ("public_host: 'https://mirror'", "https://mirror/"),
        ):
            config.write_text(f"{rule}server: {{{server}}}\n")
            status, said = self.run_setup("npm", "--config", str(config))
            self.assertEqual(status, 0, said)
            self.assertIn(f"registry={wanted}registry/npm/\n", said)

    def test_written(self) -> None:
        """With --write the file has it, the old one is kept with its rights, twice is once."""
        file = self.home / ".npmrc"
        file.write_text("registry=http://old/\n_authToken=x\n")
        file.chmod(0o600)
        for said in ("was kept as", "nothing to change"):
            self.assertIn(said, self.run_setup("npm", "--url", "mirror:1", "--write")[1])
        self.assertEqual(file.read_text(), "_authToken=x\nregistry=http://mirror:1/registry/npm/\n")
        backup = self.home / ".npmrc.bak"
        self.assertEqual(backup.read_text(), "registry=http://old/\n_authToken=x\n")
        self.assertEqual([f.stat().st_mode & 0o777 for f in (file, backup)], [0o600] * 2)

    def test_refused(self) -> None:
        """A file that can't be merged is left alone, with one line that says so."""
        file = self.home / ".condarc"
        file.write_text("channels: [mine]\n")
        status, said = self.run_setup("conda", "--write")
        self.assertEqual((status, said.count("\n")), (1, 1))
        self.assertIn("not changed", said)
        self.assertEqual(file.read_text(), "channels: [mine]\n")
