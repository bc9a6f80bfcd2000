"""What an environment.yml or a pom.xml needs: what is read, asked of programs, and made of it."""

from __future__ import annotations

import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aimirror.commands import solving
from aimirror.commands.common import Complaint
from aimirror.commands.solving import (
    Environment,
    channel_urls,
    environment,
    from_conda,
    from_pom,
    pip_lines,
)
from aimirror.settings.setting import Address

MIRROR = Address("http://m:1")


class SolvingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text)
        return str(self.folder / name)

    def program(self, name: str, script: str) -> None:
        """Have a shell script be the one program that is installed."""
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        self.patch(solving.shutil, "which", lambda wanted: str(path) if wanted == name else None)


class EnvironmentTests(SolvingTests):
    def test_read(self) -> None:
        """Channels, packages and lines for pip; a package's own channel is one of them."""
        text = (
            "channels: [conda-forge, nodefaults]\ndependencies:\n"
            "  - python=3.11\n  - bioconda::samtools\n  - pip\n  - pip: [numpy, -r more.txt]\n"
        )
        self.assertEqual(
            environment(self.write("environment.yml", text)),
            Environment(
                ("conda-forge", "bioconda"),
                ("python=3.11", "samtools", "pip"),
                ("numpy", "-r more.txt"),
            ),
        )
        plain = environment(self.write("e.yml", "dependencies: [a]"))
        self.assertEqual(plain.channels, ("defaults",))

    def test_unread(self) -> None:
        """What is none is told with the file's name."""
        for text in ("", "[]", "a: 1", "dependencies: 1", "a: [", "dependencies: a"):
            file = self.write("environment.yml", text)
            error = self.assertRaises(Complaint, environment, file)
            self.assertIn(file, str(error))

    def test_channels(self) -> None:
        """A channel is asked for where the mirror has it; another URL is left alone."""
        for name, urls in (
            ("conda-forge", ["http://m:1/conda-forge"]),
            ("https://conda.anaconda.org/bioconda/", ["http://m:1/bioconda"]),
            ("nvidia", ["http://m:1/conda/nvidia"]),
            ("defaults", ["http://m:1/pkgs/main", "http://m:1/pkgs/r"]),
            ("https://h/own", ["https://h/own"]),
        ):
            self.assertEqual(channel_urls(name, MIRROR), urls, name)
        moved = Address("http://m:1", {"/conda-forge": "/cf"})
        self.assertEqual(channel_urls("conda-forge", moved), ["http://m:1/cf"])

    def test_pip_lines(self) -> None:
        """Files that the lines name are looked for beside the environment."""
        wanted = Environment((), (), ("numpy>1", "-r more.txt", "--constraint=c.txt"))
        self.assertEqual(
            pip_lines("/a/environment.yml", wanted).splitlines(),
            ["numpy>1", "-r /a/more.txt", "--constraint /a/c.txt"],
        )

    def test_program(self) -> None:
        """conda is asked with settings of the mirror alone, and for the platform that is meant."""
        told = self.folder / "told"
        answer = json.dumps({"actions": {"FETCH": [{"url": "http://m/noarch/a-1-0.conda"}, 1]}})
        self.program(
            "conda",
            f'cat "$CONDARC" > {told}; echo "$CONDA_SUBDIR $*" >> {told}\necho \'{answer}\'',
        )
        urls = from_conda("e.yml", Environment((), ()), MIRROR, "macosx-arm64")
        self.assertEqual(urls, ("http://m/noarch/a-1-0.conda",))
        said = told.read_text()
        for line in (
            "channel_alias: http://m:1/conda\n",
            "  bioconda: http://m:1\n",
            "- http://m:1/pkgs/main\n",
            "osx-arm64 env create --name aimirror-prefetch --file e.yml --dry-run --json --yes\n",
        ):
            self.assertIn(line, said)

    def test_no_program(self) -> None:
        """Without a program it is said which are meant; an answer that is none is said, too."""
        self.program("none", "")
        self.patch(solving, "find_spec", lambda name: None)
        environment = Environment((), ())
        error = self.assertRaises(Complaint, from_conda, "e.yml", environment, MIRROR, "")
        self.assertIn("e.yml: one of micromamba, mamba, conda is needed", str(error))
        self.program("conda", "echo no")
        error = self.assertRaises(Complaint, from_conda, "e.yml", environment, MIRROR, "")
        self.assertIn("the resolver's answer can't be read", str(error))


class PomTests(SolvingTests):
    def test_fetched(self) -> None:
        """What mvn notes to have from the mirror is named, and nothing else."""
        self.program(
            "mvn",
            "for each; do case $each in -Dmaven.repo.local=*) "
            'at="${each#*=}/g/a/1"; mkdir -p "$at"; '
            'printf "#NOTE\\na-1.jar>aimirror=\\na-1.pom>aimirror=\\nx.jar>other=\\ny.jar>=\\n" '
            '> "$at/_remote.repositories";; esac; done',
        )
        urls = from_pom("pom.xml", MIRROR)
        base = "http://m:1/maven2/g/a/1/a-1"
        self.assertEqual(urls, (f"{base}.jar", f"{base}.pom"))

    def test_failure(self) -> None:
        """A failure is told by the line that says what is wrong."""
        self.program(
            "mvn", r"printf '\033[0m[ERROR] No such thing\n[ERROR] Re-run Maven\n'; exit 1"
        )
        error = self.assertRaises(Complaint, from_pom, "pom.xml", MIRROR)
        self.assertEqual(str(error), "the requirements can't be resolved: [ERROR] No such thing")

    def test_absent(self) -> None:
        """Without mvn nobody says what is needed."""
        self.program("none", "")
        self.assertIsNone(from_pom("pom.xml", MIRROR))
