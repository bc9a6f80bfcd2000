"""Reading what others wrote takes time and memory that grow with its length, and no faster."""

from __future__ import annotations

import contextlib
import struct
import time
import tracemalloc
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems import (
    apk,
    apt,
    cargo,
    composer,
    cpan,
    hackage,
    helm,
    hex,
    jsr,
    modelscope,
    npm,
    nuget,
    pub,
    rpm,
)
from aimirror.ecosystems.conda import repodata as conda
from aimirror.ecosystems.cran import packages as cran
from aimirror.ecosystems.pypi import pages, wheels
from aimirror.ecosystems.rubygems import index as rubygems
from aimirror.indexes import sums
from aimirror.mirror.link_targets import Link
from aimirror.mirror.rewriting import Rewriter

Reader = Callable[[bytes], object]

#: An entry of an archive's directory, with a name of one byte.
_ENTRY = b"PK\1\2" + bytes(24) + b"\1\0\0\0\0\0" + bytes(12)
_LINKS = (
    *(
        b"https://a.test/x/",
        b"http://a.test:80/x",
        b"https:\\/\\/a.test\\/x",
        b"//a.test",
        b"https://",
    ),
    *(
        b'"url": "',
        b'"tarball":"',
        b'"homepage":"',
        b'href="',
        b'href="/x',
        b'"',
        b" ",
        b"\\",
        b"/",
    ),
)


def _rewriter(members: tuple[str, ...] = ()) -> Rewriter:
    return Rewriter([Link("https://a.test/x", "http://mirror.test/a")], [("/x", "/a/x")], members)


def _in_pieces(data: bytes) -> None:
    rewriter = _rewriter()
    for start in range(0, len(data), 512):
        rewriter.feed(data[start : start + 512])
    rewriter.end()


#: How each format is read, and the words of which hostile ones are made.
FORMATS: dict[str, tuple[Reader, tuple[bytes, ...]]] = {
    "repodata": (
        conda.digests,
        (b'"sha256"', b'"', b"{", b"}", b'"a.conda": {', b'"sha256": "', b"0" * 64, b" ", b"\\"),
    ),
    "html": (
        lambda data: pages.digests(data, "https://a.test/simple/x/"),
        (
            b"<a ",
            b"<a",
            b"<base href='a/'>",
            b'href="',
            b"href=",
            b'"',
            b"'",
            b"<!--",
            b"&amp;",
            b"#sha256=",
            b"</a>",
            b"<",
            b">",
            b"x/",
            b" ",
            b"&#",
            b"<![",
            b"<?",
            b"b = ",
        ),
    ),
    "npm": (
        npm.digests,
        (
            b'{"versions":',
            b'{"a":',
            b'{"dist":',
            b"[",
            b"{",
            b'"',
            b":",
            b",",
            b"}",
            b"]",
            b'"integrity":"',
            b"sha512-",
            b" ",
            b"?",
            b"1",
            b"\\u0000",
        ),
    ),
    "PACKAGES": (
        cran.digests,
        (
            b"Package: a\n",
            b"Version: 1\n",
            b"MD5sum: ",
            b"\n",
            b"\n\n",
            b":",
            b" ",
            b"a",
            b"0" * 32,
        ),
    ),
    "rds": (
        lambda data: cran.digests(b"X\n" + struct.pack(">iii", 2, 0, 0) + data),
        (
            *(struct.pack(">i", n) for n in (0, 1, 2, 9, 13, 16, 19, 254, 255, 512, 1024, 1 << 30)),
            b"\0\0\2\x13\x7f\xff\xff\xff",
        ),
    ),
    "primary.xml": (
        rpm.digests,
        (
            b"<package ",
            b"</package>",
            b"<data ",
            b"</data>",
            b"<checksum type='sha256'>",
            b"<",
            b"0" * 64,
            b"</checksum>",
            b"<location href='a.rpm'>",
            b" ",
            b"\n",
            b"'",
            b"type='",
        ),
    ),
    "Packages": (
        apt.digests,
        (b"Filename: ", b"SHA256: ", b"0" * 64, b"\n", b"\n\n", b" ", b"./", b"a"),
    ),
    "Release": (
        apt.listed,
        (b"\nSHA256:\n", b" " + b"0" * 64, b" 1 ", b"\n", b" ", b"a", b"0"),
    ),
    "cargo": (cargo.digests, (b'{"vers":"1",', b'"cksum":"', b'"', b"}", b"\n", b"[", b"{")),
    "gems": (
        rubygems.digests,
        (b"1.0 ", b"|", b",", b"checksum:", b"0" * 64, b"\n", b" ", b"a"),
    ),
    "helm": (
        helm.digests,
        (
            b"entries:\n",
            b"  a:\n",
            b"  - ",
            b"digest: ",
            b"0" * 64,
            b"\n",
            b" ",
            b"urls:\n",
            b"- a.tgz",
        ),
    ),
    "hex": (hex.digests, (b"\x0a", b"\x12", b"\x80", b"\xff", b"\x7f", b"\x01", b"a", b"\0")),
    "CHECKSUMS": (
        cpan.digests,
        (b"'a' => {", b"}", b"'", b"'sha256' => '", b"0" * 64, b"\n", b" ", b"=>", b"{"),
    ),
    "01-index": (
        hackage.digests,
        (b'"<repo>/package/', b"a", b'":{"hashes":{', b'"sha256":"', b"0" * 64, b'"', b"}", b"\n"),
    ),
    "catalog": (
        nuget.digests,
        (b'{"packageHash":"', b'"', b"a", b",", b'"packageHashAlgorithm":"SHA512"', b"}", b"{"),
    ),
    "composer": (
        composer.digests,
        (b'{"packages":', b'{"a":', b"[", b"{", b'"dist":', b'"shasum":"', b'"', b"}", b"]", b","),
    ),
    "jsr": (
        jsr.digests,
        (b'{"manifest":', b'{"/a":', b'"checksum":"sha256-', b'"', b"}", b"{"),
    ),
    "pub": (
        pub.digests,
        (b'{"versions":', b"[", b'{"archive_sha256":"', b'"', b"}", b"]", b","),
    ),
    "modelscope": (
        modelscope.digests,
        (b'{"Data":', b'{"Files":', b"[", b'{"Path":"', b'"Sha256":"', b'"', b"}", b"]", b","),
    ),
    "sums": (sums.sha256_sums, (b"0" * 64, b"  ", b" *", b"a", b"\n", b" ", b"/", b"\\")),
    "links": (lambda data: _rewriter().rewrite(data), _LINKS),
    "links in pieces": (lambda data: _in_pieces(data), _LINKS),
    "links of members": (lambda data: _rewriter(("url", "tarball")).rewrite(data), _LINKS),
    "wheel's directory": (
        wheels.metadata,
        (
            _ENTRY + b"a",
            _ENTRY.replace(b"\1\0\0\0\0\0", b"\1\0\4\0\0\0") + b"a\1\0\0\0",
            b"PK\1\2",
            b"\0" * 46,
            b"\xff" * 46,
        ),
    ),
    "APKINDEX": (apk.digests, (b"C:Q1", b"P:a", b"V:1", b"\n", b"\n\n", b"\0", b"a" * 28, b"=")),
}
#: Bytes of the smaller text, how many times the larger one is that, and seconds of CPU that are
#: too few to tell anything.
SMALL, TIMES, NOTHING = 20_000, 8, 0.1
#: How much more than linear the larger one may take on a machine that is busy with other things.
SLACK = 3.0
#: Bytes of memory for each byte of text, and those that any text may take.
PER_BYTE, ANY = 150, 2 << 20


def seconds(reader: Reader, data: bytes) -> float:
    """CPU seconds, the least of some runs."""
    least = 1e9
    for _ in range(2):
        began = time.process_time()
        with contextlib.suppress(ValueError):
            reader(data)
        least = min(least, time.process_time() - began)
        if least < NOTHING:
            break
    return least


class GrowthTests(SynchronousTestCase):
    def check(self, name: str, words: list[bytes]) -> None:
        reader, _ = FORMATS[name]
        unit = b"".join(words)
        data = (unit * (SMALL // len(unit) + 1))[:SMALL]
        large = (unit * (SMALL * TIMES // len(unit) + 1))[: SMALL * TIMES]
        taken = seconds(reader, large)
        if taken > NOTHING:
            self.assertLess(taken, seconds(reader, data) * TIMES * SLACK, (name, words))
        tracemalloc.start()
        try:
            seconds(reader, data)
            held = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        self.assertLess(held, len(data) * PER_BYTE + ANY, (name, words))

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_words(self, data: st.DataObject) -> None:
        """Any few words of a format, over and over."""
        name = data.draw(st.sampled_from(sorted(FORMATS)))
        words = st.lists(st.sampled_from(FORMATS[name][1]), min_size=1, max_size=5)
        self.check(name, data.draw(words))

    def test_each_word(self) -> None:
        """Each word of each format by itself."""
        for name, (_, words) in FORMATS.items():
            for word in words:
                self.check(name, [word])
