"""What Python projects need in turn."""

from __future__ import annotations

from packaging.specifiers import SpecifierSet
from packaging.version import Version
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from aimirror.admin.prefetch_lists import Interpreter, Project, requirements
from aimirror.admin.prefetch_needs import Closure, applies, environment, needs

LINUX = environment(Interpreter("3.11", "linux_x86_64"))


class MarkerTests(SynchronousTestCase):
    def test_environment(self) -> None:
        """Markers are judged by the machine that files are for, not by this one."""
        for interpreter, marker in (
            (Interpreter("3.8", ""), "python_version < '3.9'"),
            (Interpreter("", "win_amd64"), "sys_platform == 'win32'"),
            (Interpreter("", "macosx_arm64"), "platform_machine == 'arm64'"),
            (Interpreter("3.12", "linux_aarch64"), "platform_system == 'Linux'"),
        ):
            self.assertTrue(applies(marker, environment(interpreter)), marker)
        self.assertFalse(applies("sys_platform == 'win32'", LINUX))

    def test_extras(self) -> None:
        """What an extra needs is needed with that extra alone; others are left out."""
        metadata = (
            "Name: a\nRequires-Dist: b>=1\nRequires-Dist: c; extra == 'tls'\n"
            "Requires-Dist: d[x]<2 ; sys_platform == 'win32'\nRequires-Dist: ][\n"
            "Requires-Dist: e @ https://h/e.whl\n\nRequires-Dist: text\n"
        )
        self.assertEqual([p.name for p in needs(metadata, (), LINUX)], ["b"])
        self.assertEqual([p.name for p in needs(metadata, ("tls",), LINUX)], ["b", "c"])


class ClosureTests(SynchronousTestCase):
    def complete(self, index: dict[str, dict[str, str]], text: str) -> dict[str, str]:
        """Specifiers by name, of requirements and an index of METADATA by name and version."""

        async def look(project: Project) -> tuple[str, str] | None:
            fitting = SpecifierSet(project.specifier)
            versions = [v for v in index.get(project.name, {}) if Version(v) in fitting]
            if not versions:
                return None
            newest = max(versions, key=Version)
            return newest, index[project.name][newest]

        closure = Closure(look, LINUX)
        done = Deferred.fromCoroutine(closure.complete(requirements(text).projects))
        return {project.name: project.specifier for project in self.successResultOf(done)}

    def test_chain(self) -> None:
        """Needs of needs, in circles, too, each by its newest version."""
        index = {
            "a": {"1": "Requires-Dist: b", "2": "Requires-Dist: b>=1"},
            "b": {"1": "Requires-Dist: c", "3": "Requires-Dist: c"},
            "c": {"1": "Requires-Dist: a"},
        }
        self.assertEqual(self.complete(index, "a\n"), {"a": "==2", "b": "==3", "c": "==1"})

    def test_chosen_again(self) -> None:
        """A version that somebody else can't use gives way to one that fits all."""
        index = {
            "a": {"1": "Requires-Dist: lib"},
            "b": {"1": "Requires-Dist: lib<2"},
            "lib": {"1.5": "", "2.0": "Requires-Dist: only-new"},
        }
        found = self.complete(index, "a\nb\n")
        self.assertEqual(found["lib"], "==1.5")

    def test_nothing_fits(self) -> None:
        """What fits nothing stays as it was asked for, so that its absence is told."""
        found = self.complete({"a": {"1": "Requires-Dist: gone>9"}}, "a\n")
        self.assertEqual(found, {"a": "==1", "gone": ">9"})

    def test_not_meant(self) -> None:
        """Lines for other machines are left out; extras are followed."""
        index = {"a": {"1": "Requires-Dist: x; extra == 'more'"}, "x": {"1": ""}, "w": {"1": ""}}
        text = "a[more]\nw; sys_platform == 'win32'\n"
        self.assertEqual(self.complete(index, text), {"a": "==1", "x": "==1"})
