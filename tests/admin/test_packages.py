"""What is cached, by package and version."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.admin import packages
from aimirror.admin.packages import BELIEVED, Packages, sorted_out
from aimirror.store.errors import DiskError
from aimirror.store.listing import Kept

FILES = "https://files.pythonhosted.org/packages/"
RULES: Any = (
    SimpleNamespace(name="files", ecosystem="pypi"),
    SimpleNamespace(name="npm", ecosystem="npm"),
)


def kept(key: str, rule: str = "files", size: int = 10, used: float = 1.0, pinned: int = 0) -> Kept:
    return Kept(f"name of {key}", key, rule, size, 0.5, used, pinned)


KEPT = [
    kept(FILES + "torch-2.9.1-cp311-linux.whl?signature=geheim", size=900, used=9, pinned=1),
    kept(FILES + "torch-2.9.0-cp311-linux.whl", size=800, used=5),
    kept(FILES + "torch-2.9.1.tar.gz", size=50, used=3),
    kept("https://pypi.org/simple/torch/", size=4, used=8),
    kept("https://registry.npmjs.org/left-pad/-/left-pad-1.3.0.tgz", "npm", size=7, used=2),
    kept("https://h.test/whatever", "other", size=70),
]


class PackagesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.looks = 0
        self.failing = False
        self.kept = list(KEPT)
        store: Any = SimpleNamespace(kept=self._kept)
        self.packages = Packages(store, self.clock, lambda: RULES)

    def _kept(self, most: int, read: Any) -> Deferred[Any]:
        self.looks += 1
        return fail(DiskError("no disk")) if self.failing else succeed(read(self.kept[:most]))

    def listed(
        self, contains: str = "", world: str = "", order: str = "largest", **page: int
    ) -> Any:
        page = {"count": 50, "offset": 0, **page}
        told = Deferred.fromCoroutine(self.packages.listed(contains, world, order, **page))
        return self.successResultOf(told)

    def names(self, *given: Any, **more: Any) -> list[str]:
        return [row["name"] for row in self.listed(*given, **more)["packages"]]

    def test_packages(self) -> None:
        """Files are told by package, with size and last use; what has no package is told apart."""
        told = self.listed()
        torch = told["packages"][0]
        self.assertEqual((torch["world"], torch["name"], torch["versions"]), ("pypi", "torch", 2))
        self.assertEqual((torch["entries"], torch["bytes"], torch["used"]), (4, 1754, 9))
        self.assertEqual((told["total"], told["worlds"]), (2, ["npm", "pypi"]))
        self.assertEqual((told["nameless"]["entries"], told["partial"]), (1, False))

    def test_pages(self) -> None:
        """A part of a name, a world, an order and a page choose among them."""
        self.assertEqual(self.names("TOR"), ["torch"])
        self.assertEqual(self.names(world="npm"), ["left-pad"])
        self.assertEqual(self.names(order="name"), ["left-pad", "torch"])
        self.assertEqual(self.names(order="unused"), ["left-pad", "torch"])
        self.assertEqual(self.names(order="used"), ["torch", "left-pad"])
        self.assertEqual(self.names(count=1, offset=1), ["left-pad"])
        self.assertEqual(self.listed(count=1, offset=1)["total"], 2)

    def test_versions(self) -> None:
        """Versions with their files, the last used first; what is of all versions has no name."""
        versions = Deferred.fromCoroutine(self.packages.versions("pypi", "torch"))
        told = self.successResultOf(versions)
        self.assertEqual([row["version"] for row in told["versions"]], ["2.9.1", "", "2.9.0"])
        first = told["versions"][0]
        self.assertEqual((first["entries"], first["bytes"], first["pinned"]), (2, 950, 1))
        self.assertEqual(first["files"][0]["file"], "torch-2.9.1-cp311-linux.whl")
        self.assertEqual(first["files"][0]["name"], KEPT[0].name)
        self.assertNotIn("geheim", str(first["files"][0]["url"]))
        nothing = Deferred.fromCoroutine(self.packages.versions("pypi", "other"))
        self.assertEqual(self.successResultOf(nothing)["versions"], [])

    def test_one_look(self) -> None:
        """Pages turned by somebody cost one look at the index, until it is old or changed here."""
        self.listed()
        self.listed(offset=1)
        self.assertEqual(self.looks, 1)
        self.packages.forget()
        self.listed()
        self.clock.advance(BELIEVED)
        self.listed()
        self.assertEqual(self.looks, 3)

    def test_failure(self) -> None:
        """A look that failed is believed by nobody."""
        self.failing = True
        look = Deferred.fromCoroutine(self.packages.listed("", "", "name", 1, 0))
        self.failureResultOf(look, DiskError)
        self.failing = False
        self.assertEqual(len(self.names()), 2)

    def test_bounds(self) -> None:
        """One page, and the files of one version, are bounded; a part is told as one."""
        self.kept = [kept(f"{FILES}p{n}-1.0.tar.gz") for n in range(300)]
        self.kept += [kept(f"{FILES}big-1.0-{n}.whl") for n in range(300)]
        self.assertEqual(len(self.names(count=1000)), packages.MOST_PACKAGES)
        told = self.successResultOf(Deferred.fromCoroutine(self.packages.versions("pypi", "big")))
        version = told["versions"][0]
        self.assertEqual((version["entries"], len(version["files"])), (300, packages.MOST_FILES))
        self.patch(packages, "MOST_LOOKED_AT", 3)
        self.assertTrue(sorted_out(KEPT[:3], {}).partial)
