"""What requirements need in turn: the command lines of resolvers, what they say, and the rest."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aimirror.commands import resolving
from aimirror.commands.common import Complaint
from aimirror.commands.resolving import (
    Wanted,
    flattened,
    pip_arguments,
    pip_platforms,
    reported,
    resolved,
    uv_arguments,
)

INDEX = "http://mirror:8081/simple"


class ArgumentTests(SynchronousTestCase):
    def test_this_machine(self) -> None:
        """For this machine nothing but the index and the files is said."""
        wanted = Wanted(("a.txt", "b.txt"), INDEX)
        self.assertEqual(uv_arguments(wanted)[-4:], ["--default-index", INDEX, "a.txt", "b.txt"])
        line = pip_arguments(wanted, Path("r.json"), "folder")
        self.assertEqual(line[-4:], ["-r", "a.txt", "-r", "b.txt"])
        self.assertIn("mirror:8081", line)
        self.assertNotIn("--only-binary", line)
        tls = pip_arguments(Wanted(("a",), "https://mirror/simple"), Path("r"), "f")
        self.assertNotIn("--trusted-host", tls)

    def test_other_machine(self) -> None:
        """Another machine is told to each in its own words."""
        wanted = Wanted(("a.txt",), INDEX, "3.12", "linux_x86_64")
        self.assertIn("x86_64-unknown-linux-gnu", uv_arguments(wanted))
        line = pip_arguments(wanted, Path("r"), "f")
        for word in ("3.12", "manylinux_2_28_x86_64", "linux_x86_64", "--only-binary"):
            self.assertIn(word, line)
        self.assertEqual(pip_platforms("macosx_arm64")[0], "macosx_15_0_arm64")
        self.assertIn("macosx_11_0_universal2", pip_platforms("macosx_arm64"))
        self.assertEqual(pip_platforms("win_amd64"), ["win_amd64"])


class ToldTests(SynchronousTestCase):
    def test_report(self) -> None:
        """The URLs of pip's report; another text is refused."""
        told = '{"install": [{"download_info": {"url": "http://m/a.whl"}}]}'
        self.assertEqual(list(reported(told)), ["http://m/a.whl"])
        for text in ("", "{}", '{"install": [1]}'):
            self.assertRaises(Complaint, list, reported(text))

    def test_failure(self) -> None:
        """What a resolver complains of is told in one line."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        script = folder / "uv"
        script.write_text("#!/bin/sh\necho noise >&2\necho 'error: no such thing' >&2\nexit 2\n")
        script.chmod(0o755)
        self.patch(resolving.shutil, "which", lambda name: str(script))
        error = self.assertRaises(Complaint, resolved, Wanted(("a",), INDEX))
        self.assertEqual(str(error), "the requirements can't be resolved: error: no such thing")


class FlattenedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        (self.folder / "in").mkdir(parents=True)

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text)
        return str(self.folder / name)

    def test_nested(self) -> None:
        """Included files are looked for beside those that include them, each once."""
        top = self.write("r.txt", "a==1\n-r in/more.txt\n")
        self.write("in/more.txt", "b\n--requirement=least.txt\n-r ../r.txt\n")
        self.write("in/least.txt", "c>2  # why\n")
        self.assertEqual(set(flattened((top,)).split("\n")), {"a==1", "b", "c>2  # why", ""})

    def test_constraints(self) -> None:
        """Constraints narrow what is wanted, and add nothing."""
        top = self.write(
            "r.txt", "-c c.txt\nA_b[x]>=1; python_version>'3'\nd @ http://h/d.whl\ne\n"
        )
        self.write("c.txt", "a-b<2\nd==1\nunwanted==1\n-r in/c2.txt\n")
        self.write("in/c2.txt", "e==5\n")
        self.assertEqual(
            flattened((top,)).splitlines(),
            ["A_b[x]>=1,<2; python_version>'3'", "d @ http://h/d.whl", "e==5"],
        )

    def test_missing(self) -> None:
        """A file that is not there is told by its name."""
        top = self.write("r.txt", "-r none.txt\n")
        error = self.assertRaises(Complaint, flattened, (top,))
        self.assertIn("none.txt: No such file", str(error))
