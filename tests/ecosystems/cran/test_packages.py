"""CRAN: indexes as text and as R writes them, and the Archive."""

from __future__ import annotations

import base64
import lzma
import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems.cran import packages as cran
from aimirror.routing.digests import Digest
from tests.ecosystems.support import WorldCase

MD5 = "0f" * 16


def chars(text: str | None) -> bytes:
    data = (text or "").encode()
    return struct.pack(">ii", 9, -1 if text is None else len(data)) + data


def texts(values: list[str | None], flags: int = 16) -> bytes:
    return struct.pack(">ii", flags, len(values)) + b"".join(map(chars, values))


def matrix(columns: list[str], rows: list[list[str | None]]) -> bytes:
    """A character matrix as saveRDS writes it, version 3, before compression."""
    cells = [row[k] for k in range(len(columns)) for row in rows]
    dims = struct.pack(">iiii", 13, 2, len(rows), len(columns))
    pair, symbol = struct.pack(">i", 2 | 1 << 10), struct.pack(">i", 1)
    names = struct.pack(">iii", 19, 2, 254) + texts(list(columns))
    head = b"X\n" + struct.pack(">iiii", 3, 0, 0, 5) + b"UTF-8"
    attributes = pair + symbol + chars("dim") + dims + pair + symbol + chars("dimnames") + names
    return head + texts(cells, 16 | 1 << 9) + attributes + struct.pack(">i", 254)


class CranTests(SynchronousTestCase):
    def test_text(self) -> None:
        """PACKAGES as text: one paragraph per package, continued lines and all."""
        index = (
            f"Package: a\nVersion: 1.0-2\nDepends: R (>= 3),\n  b\nMD5sum: {MD5}\n\n"
            "Package: b\nVersion: 2\n"
        )
        self.assertEqual(cran.digests(index.encode()), {"a_1.0-2": Digest("md5", MD5)})

    def test_serialized(self) -> None:
        """PACKAGES.rds says the same; missing values are skipped."""
        data = matrix(["Package", "Version", "MD5sum"], [["a", "1.0", MD5], ["b", "2", None]])
        self.assertEqual(cran.digests(data), {"a_1.0": Digest("md5", MD5)})

    def test_repeated(self) -> None:
        """A text that is named again and again does not grow in memory."""
        data = matrix(["Package", "Version", "MD5sum"], [["x" * 5000, "1", MD5]])
        symbol, repeated = chars("x" * 5000), struct.pack(">i", 255 | 1 << 8)
        again = struct.pack(">ii", 19, 1000) + struct.pack(">i", 1) + symbol + repeated * 999
        self.assertEqual(len(cran.digests(data)), 1)
        self.assertEqual(cran.digests(data.replace(symbol, again)), {})

    @settings(max_examples=50, deadline=None)
    @given(st.integers(0, 250), st.integers(0, 255))
    def test_damaged(self, place: int, byte: int) -> None:
        """A serialization that is damaged or cut never raises."""
        data = bytearray(matrix(["Package", "Version", "MD5sum"], [["a", "1.0", MD5]]))
        self.assertIsInstance(cran.digests(bytes(data[:place])), dict)
        data[place % len(data)] = byte
        self.assertIsInstance(cran.digests(bytes(data)), dict)

    def test_archived(self) -> None:
        """A source package moves below its name; nothing else has an archive."""
        path = "/src/contrib/a.b_1.0-2.tar.gz"
        self.assertEqual(cran.archived(path), "/src/contrib/Archive/a.b/a.b_1.0-2.tar.gz")
        for other in ("/src/contrib/PACKAGES.gz", "/bin/windows/contrib/4.2/a_1.zip", "/x"):
            self.assertEqual(cran.archived(other), "")

    def test_package(self) -> None:
        """Name and version of source and binary packages."""
        self.assertEqual(cran.package("http://h/src/contrib/a_1.0.tar.gz"), "a_1.0")
        self.assertEqual(cran.package("http://h/bin/windows/contrib/4.2/a_1.0.zip"), "a_1.0")
        self.assertEqual(cran.package("http://h/src/contrib/PACKAGES.rds"), "")


class ChosenTests(WorldCase):
    name = "cran"

    def test_by_user_agent(self) -> None:
        """Binaries that a package manager chooses by the User-Agent are kept apart by it."""
        path = "/cran/__linux__/jammy/latest/src/contrib/a_1.0.tar.gz"
        self.use(immutable=True)
        self.answers[path] = lambda outgoing: (200, [], outgoing.headers.get("user-agent").encode())
        for agent in ("R/4.3", "R/4.4", "R/4.3"):
            self.assertEqual(self.get(path, f"User-Agent: {agent}")[2], agent.encode())
        self.assertEqual(len(self.urls()), 2)


#: PACKAGES.rds of a repository with one package, as R 4.2 writes it: the names of rows have names.
ONE = base64.b64decode(
    "/Td6WFoAAAFpIt42AgAhARYAAAB0L+Wj4AJXAR1dACwCfBn5r/QdO56YNX7q0PQhTbNFTPhki945dmnOcgrOLo8c"
    "dVaggmgyQ/1pinHjniZCY13vOVKQDUtZU3VGZ9SPWciV6NDfxc3reNePCw1nznAipkqTEE/38533fMbLPKR2TyK1"
    "AFSY4yioiPbUmPYNmBuvyuB65LoMDn3Ow+Gy2LRyib505/xbaBFVUq9wLnf1UK5lqyAy5avD2tq0EpLOYA4IdMoO"
    "OEMl0ftJBwm4WCHMTUCkv1BIZy1zlkPkOecjwCFWjra5M2b2Kr8XUjfIkNgztEUmGXEk0POyVQ6DBJKcmKHfac5b"
    "pcP64U8n1CrPWxLG+va8PV5RVQ294O57hygC8k9C5E7CczJmPTjktb4qgeWson2l0ThggAAAAACQb3mHAAG1AtgE"
    "AADRPHsXPjANiwIAAAAAAVla"
)


class OneTests(SynchronousTestCase):
    def test_names_of_names(self) -> None:
        """Attributes within attributes are left out."""
        digest = Digest("md5", "911245c2eb7ec033c7f934840fe56076")
        self.assertEqual(cran.digests(lzma.decompress(ONE)), {"tool_1.0": digest})
