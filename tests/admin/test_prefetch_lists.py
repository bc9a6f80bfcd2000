"""Lists of what to fetch ahead, in the formats in which people have them."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.admin import prefetch_lists as prefetch
from aimirror.admin.prefetch_lists import BadList, Image, Interpreter, Items, Project, Repository
from aimirror.routing.mounts import Mount

H = "a" * 64


class PythonTests(SynchronousTestCase):
    def test_requirements(self) -> None:
        """Pins, ranges, extras, markers, hashes and URLs are read, what pip alone can is told."""
        items = prefetch.requirements(
            "# a comment\n-r other.txt\n--index-url https://x/simple\nNumPy==2.1.3  # why\n"
            f"requests[socks] >= 2, <3 ; python_version > '3'\nfoo_bar==1 \\\n  --hash=sha256:{H}\n"
            "-e ./here\nplain\npkg @ https://h/pkg-1.whl\n./local.whl\n"
        )
        self.assertEqual(
            items.projects,
            (
                Project("numpy", "==2.1.3"),
                Project(
                    "requests", ">=2,<3", frozenset(), frozenset({"socks"}), "python_version > '3'"
                ),
                Project("foo-bar", "==1", frozenset({f"sha256:{H}"})),
                Project("plain"),
            ),
        )
        self.assertEqual(items.urls, ("https://h/pkg-1.whl",))
        self.assertEqual(len(items.skipped), 4)

    @settings(max_examples=50, deadline=None)
    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """No text breaks the reader: each line becomes something, or is told as skipped."""
        prefetch.requirements(text)

    def test_uv_lock(self) -> None:
        """The wheels that suit the interpreter, and the source where none does."""
        lock = """
[[package]]
name = "a"
sdist = { url = "https://f/a-1.tar.gz" }
wheels = [{ url = "https://f/a-1-cp311-cp311-manylinux_2_17_x86_64.whl" },
          { url = "https://f/a-1-cp311-cp311-macosx_11_0_arm64.whl" }]
[[package]]
name = "b"
sdist = { url = "https://f/b-1.tar.gz" }
[[package]]
name = "local"
"""
        items = prefetch.uv_lock(lock, Interpreter("3.11", "linux_x86_64"))
        wanted = ("https://f/a-1-cp311-cp311-manylinux_2_17_x86_64.whl", "https://f/b-1.tar.gz")
        self.assertEqual((items.urls, items.skipped), (wanted, ("local",)))
        for text in ("a = [", "a=" + "[" * 20_000):
            self.assertRaises(BadList, prefetch.uv_lock, text, Interpreter())

    def test_own_project(self) -> None:
        """The project that uv.lock belongs to is no file that a mirror could lack."""
        for source in ('virtual = "."', 'editable = "."', 'directory = "lib"'):
            lock = f'[[package]]\nname = "mine"\nsource = {{ {source} }}\n'
            self.assertEqual(prefetch.uv_lock(lock, Interpreter()), Items())

    def test_target(self) -> None:
        """By a file's name: its Python, ABI and platform (PEP 425)."""
        linux = Interpreter("3.11", "linux_x86_64")
        for name, fits in (
            ("x-1-py3-none-any.whl", True),
            ("x-1-py2.py3-none-any.whl", True),
            ("x-1-cp39-abi3-manylinux2014_x86_64.whl", True),
            ("x-1-cp312-abi3-manylinux2014_x86_64.whl", False),
            ("x-1-cp310-cp310-manylinux2014_x86_64.whl", False),
            ("x-1-cp311-cp311-manylinux_2_5_x86_64.manylinux1_x86_64.whl", True),
            ("x-1-cp311-cp311-manylinux2014_aarch64.whl", False),
            ("x-1-cp311-cp311-musllinux_1_2_x86_64.whl", False),
            ("x-1-cp311-cp311-win_amd64.whl", False),
            ("x-1.tar.gz", True),
        ):
            self.assertIs(linux.takes(name), fits, name)
            self.assertTrue(Interpreter().takes(name))


class OtherWorldsTests(SynchronousTestCase):
    def test_package_lock(self) -> None:
        """Versions 1 and 3 name the same tarballs; links and bundled packages are none."""
        url = "https://registry.npmjs.org/a/-/a-1.tgz"
        three = {"packages": {"": {}, "node_modules/a": {"resolved": url}, "x": {"link": True}}}
        one = {"dependencies": {"b": {"dependencies": {"a": {"resolved": url}}}}}
        for lock in (three, one):
            self.assertEqual(prefetch.package_lock(json.dumps(lock)).urls, (url,))
        self.assertRaises(BadList, prefetch.package_lock, "[]")

    def test_repository(self) -> None:
        """A repository's files are those that the patterns choose, by the revision asked for."""
        found = prefetch.repository("datasets/owner/name@v1")
        self.assertEqual(found, Repository("datasets", "owner/name", "v1"))
        self.assertEqual(found.listing, "/api/datasets/owner/name/revision/v1")
        told = {"sha": "c0", "siblings": [{"rfilename": n} for n in ("a.bin", "b c.txt", "d.bin")]}
        files = found.files(json.dumps(told), ("*.bin", "b*"), ("d*",))
        base = "/datasets/owner/name/resolve/v1"
        self.assertEqual(files, [f"{base}/a.bin", f"{base}/b%20c.txt"])
        draft = Repository("models", "owner/name", "refs/pr/1")
        told = {"sha": "c0", "siblings": [{"rfilename": "a"}]}
        files = draft.files(json.dumps(told), (), ())
        self.assertEqual(files, ["/owner/name/resolve/refs%2Fpr%2F1/a"])
        self.assertRaises(BadList, prefetch.repository, "a/b/c/d")

    def test_image(self) -> None:
        """References as docker reads them."""
        digest = "sha256:" + H
        for text, wanted in (
            ("nginx", Image("library/nginx", "latest")),
            ("owner/name:1.2", Image("owner/name", "1.2")),
            ("docker.io/library/nginx", Image("library/nginx", "latest")),
            ("ghcr.io/o/n:t", Image("ghcr.io/o/n", "t")),
            (f"quay.io/o/n:t@{digest}", Image("quay.io/o/n", digest)),
            ("localhost:5000/n:t", Image("localhost:5000/n", "t")),
        ):
            self.assertEqual(prefetch.image(text), wanted, text)
        self.assertRaises(BadList, prefetch.image, "NGINX latest")


class ServedTests(SynchronousTestCase):
    def test_longest_base(self) -> None:
        """An upstream's URL is served under the mount of its base, at a segment's end."""
        mounts = (Mount("https://h/base", "/m"), Mount("https://h", ""))
        for url, wanted in (
            ("https://h/base/x?y=1", "/m/x?y=1"),
            ("https://h/baseline", "/baseline"),
            ("https://h.evil/x", None),
            ("https://other/x", None),
        ):
            self.assertEqual(prefetch.served_path(url, mounts), wanted, url)
