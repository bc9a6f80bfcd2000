"""Git trees in tars."""

from __future__ import annotations

import bz2
import gzip
import io
import tarfile

import zstandard
from twisted.trial.unittest import SynchronousTestCase

from aimirror.routing import git_tree
from aimirror.routing.digests import GIT_TREE, new_hash

#: A tree, as git and Julia name it: each file with its mode or, of a link, where it leads.
FILES: tuple[tuple[str, bytes, int], ...] = (
    ("a", b"one", 0o644),
    ("b.sh", b"#!/bin/sh\n", 0o755),
    ("d.x", b"x", 0o664),
    ("d/e", b"two", 0o600),
    ("d0", b"y", 0o644),
    ("empty", b"", 0o644),
)
TREE = "3ecd0946277b77377168d27dd48df42fe8f781ca"
WITH_EMPTY_FOLDER = "a2d723b58a15377c9c1eae5382cc5ca7062db78c"


def tarred(kind: int = tarfile.GNU_FORMAT, before: str = "", folder: str = "") -> bytes:
    """The tree as a tar."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as tar:
        for name, content, mode in FILES:
            info = tarfile.TarInfo(before + name)
            info.size, info.mode = len(content), mode
            tar.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo(before + "link")
        link.type, link.linkname = tarfile.SYMTYPE, "a"
        tar.addfile(link)
        if folder:
            empty = tarfile.TarInfo(folder)
            empty.type = tarfile.DIRTYPE
            tar.addfile(empty)
    return out.getvalue()


def hashed(name: str, data: bytes, step: int = 1 << 20) -> str:
    running = new_hash(name)
    for at in range(0, len(data), step):
        running.update(memoryview(data)[at : at + step])
    digest: str = running.hexdigest()
    return digest


class GitTreeTests(SynchronousTestCase):
    def test_forms(self) -> None:
        """The tree of git, from each form of tar, packed or not, and cut at any place."""
        for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT):
            tar = tarred(kind)
            twice = gzip.compress(tar[:700]) + gzip.compress(tar[700:])
            for data in (tar, gzip.compress(tar), twice, zstandard.compress(tar)):
                for step in (1, 7, 511, len(data)):
                    self.assertEqual(hashed(GIT_TREE, data, step), TREE)
        self.assertEqual(hashed(GIT_TREE, tarred(before="./")), TREE)

    def test_empty_folder(self) -> None:
        """An empty folder belongs to the tree, as it does for Julia."""
        self.assertEqual(hashed(GIT_TREE, tarred(folder="none")), WITH_EMPTY_FOLDER)

    def test_long_names(self) -> None:
        """Long names and links are told by records of their own, by each form in its way."""
        digests = set()
        for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode="w", format=kind) as tar:
                info = tarfile.TarInfo("d/" * 60 + "a" * 120)
                tar.addfile(info)
                info.type, info.linkname, info.name = tarfile.SYMTYPE, "b" * 130, "l"
                tar.addfile(info)
            digests.add(hashed(GIT_TREE, gzip.compress(out.getvalue())))
        self.assertEqual(len(digests - {""}), 1)

    def test_hard_link(self) -> None:
        """A hard link is the file that it leads to."""
        trees = []
        for hard in (True, False):
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode="w") as tar:
                for name in ("one", "two"):
                    info = tarfile.TarInfo(name)
                    info.size = 3
                    if hard and name == "two":
                        info.type, info.linkname, info.size = tarfile.LNKTYPE, "one", 0
                    tar.addfile(info, io.BytesIO(b"abc"))
            trees.append(hashed(GIT_TREE, out.getvalue()))
        self.assertEqual(trees[0], trees[1])

    def test_damaged(self) -> None:
        """What is cut off, changed, or no tar is no tree, or another one."""
        tar = tarred()
        packed = gzip.compress(tar)
        changed = tar.replace(b"two", b"twO")
        parts = (
            packed[:-1],
            packed[:-9],
            packed + b"x",
            tar + b"x",
            tar[:1000],
            b"",
            b"no tar",
            b"\x1f\x8b",
            bz2.compress(tar),
            changed,
        )
        for bad in (*parts, tar.replace(b"d/e", b"../", 1), tarred(before="d/" * 300)):
            self.assertNotEqual(hashed(GIT_TREE, bad), TREE)
        self.assertEqual(hashed(GIT_TREE, tarred(before="../")), "")

    def test_bounds(self) -> None:
        """Too many members, and too large records, are no tree."""
        self.patch(git_tree, "MOST_MEMBERS", 5)
        self.assertEqual(hashed(GIT_TREE, tarred()), "")
        self.patch(git_tree, "MOST_MEMBERS", 50)
        self.patch(git_tree, "MOST_RECORD", 50)
        self.assertEqual(hashed(GIT_TREE, tarred(before="d/" * 60)), "")
