"""``aimirror setup`` on real files."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aimirror.cli import main
from aimirror.commands import editing


class SetupTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir(parents=True)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")}
        self.patch(os, "environ", {**kept, "HOME": str(self.home), "SHELL": "/bin/sh"})

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
        rule = "rules: [{preset: npm}]\n"
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
        self.assertEqual(file.read_text(), "registry=http://mirror:1/registry/npm/\n_authToken=x\n")
        backup = self.home / ".npmrc.bak"
        self.assertEqual(backup.read_text(), "registry=http://old/\n_authToken=x\n")
        self.assertEqual([f.stat().st_mode & 0o777 for f in (file, backup)], [0o600] * 2)

    def test_refused(self) -> None:
        """A file that is not understood is left alone, with one line that says why."""
        file = self.home / ".condarc"
        file.write_text("- mine\n")
        status, said = self.run_setup("conda", "--write")
        self.assertEqual((status, said.count("\n")), (1, 1))
        self.assertIn("not changed: it holds no mapping", said)
        self.assertEqual(file.read_text(), "- mine\n")
        file.write_bytes(b"\xff\xfe")
        self.assertIn("no text in UTF-8", self.run_setup("conda", "--write")[1])

    def test_bad_urls(self) -> None:
        """A URL that can't be right is refused with what is wrong, and nothing is printed."""
        for url, why in (
            ("ftp://mirror", "http or https"),
            ("http://", "no host"),
            ("http://0.0.0.0:8081", "listens"),
            ("http://u:p@mirror", "password"),
            ("http://mirror:80810", "out of range"),
            ("http://mirror:0", "port of 0"),
            ("http://mirror/simple", "leave /simple away"),
            ("http://mirror:1/v2/", "leave /v2 away"),
            ("http://mirror?x=1", "more than an address"),
            ("http://mir ror", "no host"),
            ('http://mirror"/x', "no host"),
        ):
            status, said = self.run_setup("pip", "--url", url)
            self.assertEqual((status, said.count("\n")), (1, 1), url)
            self.assertIn(why, said)
        self.assertEqual(self.run_setup("docker", "--url", "http://mirror/below")[0], 1)
        self.assertEqual(self.run_setup("pip", "--url", "http://mirror/below")[0], 0)

    def test_dry_run(self) -> None:
        """--dry-run shows a diff and changes nothing."""
        file = self.home / ".npmrc"
        file.write_text("registry=http://old/\nfund=false\n")
        status, said = self.run_setup("npm", "--url", "mirror:1", "--dry-run")
        self.assertEqual(status, 0)
        self.assertIn("-registry=http://old/\n+registry=http://mirror:1/registry/npm/\n", said)
        self.assertEqual(file.read_text(), "registry=http://old/\nfund=false\n")
        self.assertEqual([each.name for each in self.home.iterdir()], [".npmrc"])

    def test_undone(self) -> None:
        """--undo brings the old text back and leaves what came since; a new file goes again."""
        file = self.home / ".npmrc"
        file.write_text("registry=http://old/\n")
        self.run_setup("npm", "--url", "mirror:1", "--write")
        self.run_setup("npm", "--url", "mirror:2", "--write")
        self.assertEqual(file.read_text(), "registry=http://mirror:2/registry/npm/\n")
        file.write_text(file.read_text() + "fund=false\n")
        self.assertEqual(self.run_setup("npm", "--undo")[0], 0)
        self.assertEqual(file.read_text(), "registry=http://old/\nfund=false\n")
        self.assertEqual(self.run_setup("npm", "--undo")[0], 1)
        self.run_setup("cargo", "--url", "mirror:1", "--write")
        self.assertTrue((self.home / ".cargo" / "config.toml").exists())
        self.assertIn("removed", self.run_setup("cargo", "--undo")[1])
        self.assertFalse((self.home / ".cargo" / "config.toml").exists())

    def test_each_undone(self) -> None:
        """Each client's file is shown, written, and taken back from whatever folder."""
        project = self.home / "project"
        project.mkdir()
        self.addCleanup(os.chdir, Path.cwd())
        clients = ("yarn", "gradle", "pixi", "poetry", "pdm", "bun", "deno", "composer", "nuget")
        for client in (*clients, "helm", "nix", "swift", "cocoapods", "vcpkg", "terraform", "tofu"):
            os.chdir(project)
            for how, there in (("--dry-run", False), ("--write", True), ("--undo", False)):
                given = () if how == "--undo" else ("--url", "mirror:1")
                self.assertEqual(self.run_setup(client, *given, how)[0], 0, (client, how))
                texts = [p.read_text() for p in self.home.rglob("*") if p.is_file()]
                named = [text for text in texts if "mirror:1" in text]
                self.assertEqual(bool(named), there, (client, how))
                os.chdir(self.home)

    def test_undo_after_others(self) -> None:
        """Two clients of one file are taken back each by itself."""
        file = self.home / ".profile"
        file.write_text("umask 022\n")
        self.run_setup("huggingface", "--url", "mirror:1", "--write")
        self.run_setup("go", "--url", "mirror:1", "--write")
        self.assertEqual(self.run_setup("huggingface", "--undo")[0], 0)
        self.assertEqual(
            file.read_text(),
            "umask 022\nexport GOPROXY=http://mirror:1/goproxy,direct # aimirror\n",
        )
        self.run_setup("go", "--undo")
        self.assertEqual(file.read_text(), "umask 022\n")

    def test_changed_since(self) -> None:
        """What was changed at the same place since is not guessed at."""
        file = self.home / ".npmrc"
        file.write_text("registry=http://old/\n")
        self.run_setup("npm", "--url", "mirror:1", "--write")
        file.write_text("registry=http://other/\n")
        status, said = self.run_setup("npm", "--undo")
        self.assertEqual((status, file.read_text()), (1, "registry=http://other/\n"))
        self.assertIn("not restored", said)

    def test_links_and_line_ends(self) -> None:
        """A link to a file goes on being one; line ends and byte-order mark stay."""
        (self.home / "dot").mkdir()
        real, link = self.home / "dot" / "npmrc", self.home / ".npmrc"
        real.write_bytes(b"\xef\xbb\xbffund=false\r\n")
        link.symlink_to(real)
        self.run_setup("npm", "--url", "mirror:1", "--write")
        self.assertTrue(link.is_symlink())
        wanted = b"\xef\xbb\xbffund=false\r\nregistry=http://mirror:1/registry/npm/\r\n"
        self.assertEqual(real.read_bytes(), wanted)

    def test_shells(self) -> None:
        """Variables go to the profiles of the shells that a user has."""
        (self.home / ".config" / "fish").mkdir(parents=True)
        (self.home / ".bash_profile").write_text("")
        os.environ["SHELL"] = "/bin/zsh"
        self.run_setup("huggingface", "--url", "mirror:1", "--write")
        line = "export HF_ENDPOINT=http://mirror:1 # aimirror\n"
        for name in (".profile", ".bash_profile", ".zprofile"):
            self.assertEqual((self.home / name).read_text(), line)
        fish = self.home / ".config" / "fish" / "conf.d" / "aimirror.fish"
        self.assertEqual(fish.read_text(), "set -gx HF_ENDPOINT http://mirror:1 # aimirror\n")
        self.run_setup("huggingface", "--undo")
        self.assertFalse(fish.exists())
        self.assertEqual((self.home / ".bash_profile").read_text(), "")

    def test_sources_of_the_machine(self) -> None:
        """apt's sources are changed where they are, in each format; others of them stay."""
        self.patch(editing, "ROOT", self.home)
        folder = self.home / "etc" / "apt" / "sources.list.d"
        folder.mkdir(parents=True)
        other = "deb https://download.docker.com/linux/debian bookworm stable\n"
        (folder / "docker.list").write_text(other)
        ours = "Types: deb\nURIs: http://deb.debian.org/debian\nSuites: bookworm\n"
        (folder / "debian.sources").write_text(ours)
        status, said = self.run_setup("apt", "--url", "mirror:1", "--write")
        self.assertEqual(status, 0, said)
        self.assertEqual((folder / "docker.list").read_text(), other)
        changed = (folder / "debian.sources").read_text()
        self.assertEqual(changed, ours.replace("http://deb.debian.org", "http://mirror:1"))
        self.assertFalse((self.home / "etc" / "apt" / "sources.list").exists())
        self.run_setup("apt", "--undo")
        self.assertEqual((folder / "debian.sources").read_text(), ours)
        (folder / "debian.sources").unlink()
        self.assertEqual(self.run_setup("apt", "--url", "mirror:1", "--write")[0], 1)

    def test_by_the_rules(self) -> None:
        """What is offered follows from the rules, and so does where it is found."""
        config = self.home / "config.yaml"
        config.write_text(
            "rules:\n- {preset: npm, path_prefix: /js}\n"
            "- {name: pypi, upstream: 'https://pypi.org'}\n"
        )
        listed = self.run_setup("--config", str(config))[1]
        names = [line.split()[2] for line in listed.splitlines()]
        self.assertLessEqual({"pip", "uv", "npm", "pnpm", "yarn"}, set(names))
        self.assertTrue({"docker", "conda", "apt"}.isdisjoint(names), names)
        said = self.run_setup("npm", "--config", str(config))[1]
        self.assertIn("registry=http://localhost:8081/js/\n", said)
        status, said = self.run_setup("conda", "--config", str(config), "--write")
        self.assertEqual(status, 1)
        self.assertIn("no rule for conda; it serves: pip, uv", said)
