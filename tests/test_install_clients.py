"""What is installed for the tests with real clients, without installing anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.clients import install, worlds

LISTS = {
    "debian-packages.txt": "# comment\nnpm: npm\nfoo: food  # why\njunit4:\n",
    "npm-packages.txt": "pnpm@9\nyarn@1\nother: yarn@4\n",
    "pypi-packages.txt": "a: x==1 y\nb: z\n",
}


class InstallTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        for name, text in LISTS.items():
            (self.folder / name).write_text(text)
        self.patch(install, "LISTS", self.folder)
        self.patch(install, "say", lambda text: self.said.append(text))
        self.patch(install, "run", self.run_command)
        self.patch(install, "has_program", lambda program: program in self.programs)
        self.patch(install, "has_package", lambda package: False)
        self.patch(install, "why_no_packages", lambda: self.why)
        self.said: list[str] = []
        self.commands: list[str] = []
        self.refused: set[str] = set()
        self.programs: set[str] = {"npm"}
        self.why = ""

    def run_command(
        self, command: Sequence[str], limit: float, environment: Mapping[str, str] | None = None
    ) -> str | None:
        self.commands.append(" ".join(command))
        return next((f"no {word}" for word in command if word in self.refused), None)

    def clients(self) -> Path:
        return self.folder / "clients"

    def test_packages(self) -> None:
        """What is on PATH is not installed; the rest is, in one go."""
        install.install_packages(self.clients())
        self.assertEqual(self.commands[0], "apt-get update -qq")
        self.assertEqual(self.commands[1:], [" ".join(install.APT_INSTALL) + " foo junit4"])

    def test_refused_package(self) -> None:
        """One package that can't be had does not keep the others away, and is not tried again."""
        self.refused = {"foo"}
        install.install_packages(self.clients())
        alone = [" ".join(install.APT_INSTALL) + f" {name}" for name in ("foo", "junit4")]
        self.assertEqual(self.commands[2:], alone)
        self.assertIn("foo can't be had: no foo", self.said)
        self.commands.clear()
        install.install_packages(self.clients())
        self.assertEqual(self.commands, [])
        self.assertIn("can't be had (to try again", self.said[-1])

    def test_not_allowed(self) -> None:
        """Where packages can't be installed, it says so and goes on."""
        self.why = "that needs root"
        install.install_packages(self.clients())
        self.assertEqual(self.said, ["not installing foo junit4: that needs root"])
        self.assertEqual(self.commands, [])

    def test_environments(self) -> None:
        """Each environment is made once, and anew when its line changes."""
        install.install_environments(self.clients())
        self.assertEqual(len(self.commands), 4)
        self.assertTrue(self.commands[1].endswith(" x==1 y"))
        install.install_environments(self.clients())
        self.assertEqual(len(self.commands), 4)
        (self.folder / "pypi-packages.txt").write_text("a: x==1 y\nb: z>2\n")
        install.install_environments(self.clients())
        self.assertEqual(len(self.commands), 6)

    def test_broken_environment(self) -> None:
        """Half an environment is removed, and made the next time."""
        self.refused = {"z"}
        (self.clients() / "b").mkdir(parents=True)
        install.install_environments(self.clients())
        self.assertIn("z can't be had: no z", self.said)
        self.assertFalse((self.clients() / "b").exists())

    def test_npm(self) -> None:
        """npm's clients are installed once; without npm it says so."""
        self.programs = set()
        install.install_npm(self.clients())
        said = [f"not installing {each}: there is no npm" for each in ("pnpm@9 yarn@1", "yarn@4")]
        self.assertEqual(self.said, said)
        self.programs = {"npm"}
        install.install_npm(self.clients())
        install.install_npm(self.clients())
        into = [command.split("--prefix ")[1] for command in self.commands]
        js, other = (self.clients() / name for name in ("js", "other"))
        self.assertEqual(into, [f"{js} pnpm@9 yarn@1", f"{other} yarn@4"])


class ListTests(SynchronousTestCase):
    def test_lists(self) -> None:
        """The lists are read as they are meant."""
        packages = dict(install.entries("debian-packages.txt"))
        self.assertEqual((packages["maven"], packages["junit4"]), ("mvn", ""))
        self.assertEqual(dict(install.entries("pypi-packages.txt"))["pip21"], "pip==21.3.1")


class FindTests(SynchronousTestCase):
    def test_environment_alone(self) -> None:
        """A client of an environment is never another one of the same name on PATH."""
        self.patch(worlds, "CLIENTS", Path(self.mktemp()).absolute())
        for name in ("python3", "sh"):
            self.assertTrue(worlds.find_client(name))
            self.assertRaises(SkipTest, worlds.find_client, name, "hf2")
