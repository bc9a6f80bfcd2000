"""Names of projects and files, and the pages that may name a file."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems.pypi import names


class NameTests(SynchronousTestCase):
    def test_pages(self) -> None:
        """Pages have normalised names and a slash; other files have no page."""
        for path, wanted in (
            ("/simple/Zope.Interface", "/simple/zope-interface/"),
            ("/simple/zope-interface/", "/simple/zope-interface/"),
            ("/simple/a__b/", "/simple/a-b/"),
            ("/simple", "/simple/"),
            ("/simple/", "/simple/"),
            ("/torch/cu121", "/torch/cu121/"),
            ("/simple/demo.html", ""),
            ("/simple/demo-1.0.tar.gz", ""),
            ("/simple/%20/", ""),
        ):
            self.assertEqual(names.page_path(path, "/simple"), wanted, path)

    def test_mount(self) -> None:
        """The name of a mount is no project's."""
        self.assertEqual(names.page_path("/My_Index", "/My_Index"), "/My_Index/")

    def test_projects(self) -> None:
        """The name of a file says whose it is; of old archives it may say several."""
        for name, wanted in (
            ("Demo_App-1.0-py3-none-any.whl", ["demo-app"]),
            ("torch-2.1.0%2Bcu121-cp311-linux.whl", ["torch"]),
            ("demo-app-1.0.tar.gz", ["demo-app"]),
            ("demo-2d-1.0.zip", ["demo-2d", "demo"]),
            ("nothing.tar.gz", []),
        ):
            self.assertEqual(list(names.projects(name)), wanted, name)

    def test_candidates(self) -> None:
        """Pages are looked for below the mounts, beside the file and above it; none twice."""
        url = "https://up.test/whl/cu1/torch-2.0%2Bcu1-cp311-linux.whl"
        found = list(names.pages(url, ["https://pypi.test/", "https://up.test/whl"]))
        self.assertEqual(len(found), len(set(found)))
        for wanted in (
            "https://pypi.test/simple/torch/",
            "https://up.test/whl/torch/",
            "https://up.test/whl/cu1/torch/",
        ):
            self.assertIn(wanted, found)
        many = list(names.pages(f"https://up.test/{'a-1' * 2000}.zip", ["https://pypi.test/"]))
        self.assertLess(len(many), 60)
        beside = names.pages("https://up.test/my-demo/my_demo-1-py3-none-any.whl", [])
        self.assertEqual(next(beside), "https://up.test/my-demo/")
