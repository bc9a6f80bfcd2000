"""METADATA out of wheels, by the ranges that say where it is."""

from __future__ import annotations

import contextlib
import io
import struct
import time
import zipfile

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems.pypi import wheels
from aimirror.ecosystems.pypi.wheels import TAIL, BadWheel

NAME = "demo-1.0.dist-info/METADATA"
TEXT = b"Metadata-Version: 2.1\nName: demo\n" * 40


def archive(*members: tuple[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", packing) as made:
        for name, data in members:
            made.writestr(name, data)
    return out.getvalue()


def read(data: bytes) -> bytes:
    """METADATA, by reading no more than the spans that are asked for."""
    tail = data[-TAIL:]
    start, stop = wheels.directory(tail, len(data))
    member = wheels.metadata(data[start:stop])
    start, stop = member.span
    return wheels.unpack(data[start:stop], member)


class WheelTests(SynchronousTestCase):
    def test_packings(self) -> None:
        """Stored and deflated members come out as they went in."""
        for packing in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            data = archive(("demo/a.py", b"x"), (NAME, TEXT), ("z", b"y" * 99), packing=packing)
            self.assertEqual(read(data), TEXT)

    def test_large_directory(self) -> None:
        """A directory longer than the tail is told by it all the same."""
        data = archive(*((f"demo/{'x' * 60}{n}.py", b"") for n in range(2000)), (NAME, TEXT))
        start, _ = wheels.directory(data[-TAIL:], len(data))
        self.assertLess(start, len(data) - TAIL)
        self.assertEqual(read(data), TEXT)

    def test_zip64(self) -> None:
        """Sizes and places beyond 32 bits are read from the field that holds them."""
        entry = struct.pack(
            "<4s6H3L5H2L", b"PK\1\2", 45, 45, 0, 8, 0, 0, 7, 20, 0xFFFFFFFF, len(NAME), 20,
            0, 0, 0, 0, 0xFFFFFFFF,
        )  # fmt: skip
        extra = struct.pack("<2H2Q", 1, 16, 99, 5 << 32)
        member = wheels.metadata(entry + NAME.encode() + extra)
        self.assertEqual((member.size, member.packed, member.offset), (99, 20, 5 << 32))

    def test_many_extras(self) -> None:
        """The right one of many extra fields is found, in time that grows with their number."""
        head = struct.pack(
            "<4s6H3L5H2L", b"PK\1\2", 45, 45, 0, 8, 0, 0, 7, 0xFFFFFFFF, 9, len(NAME), 64_012,
            0, 0, 0, 0, 0,
        )  # fmt: skip
        extra = struct.pack("<2H", 9, 0) * 16_000 + struct.pack("<2HQ", 1, 8, 99)
        started = time.process_time()
        other = head + NAME.upper().encode() + extra
        member = wheels.metadata(other * 100 + head + NAME.encode() + extra)
        self.assertLess(time.process_time() - started, 1.2)
        self.assertEqual(member.packed, 99)

    def test_zip64_end(self) -> None:
        """A directory beyond 4 GiB is where the longer record says."""
        total = 5 << 32
        start, length = total - 1000, 200
        long = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, length, start)
        locator = struct.pack("<4sLQL", b"PK\6\7", 0, start + length, 1)
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 0xFFFFFFFF, 0xFFFFFFFF, 0)
        tail = long + locator + end
        self.assertEqual(wheels.directory(tail, total), (start, start + length))

    def test_no_metadata(self) -> None:
        """None, or more than one, is no wheel's."""
        for names in ([], [NAME, "other-1.dist-info/METADATA"], ["a/demo.dist-info/METADATA"]):
            data = archive(*((name, TEXT) for name in names), ("x", b"x"))
            with self.assertRaises(BadWheel):
                read(data)

    def test_damaged(self) -> None:
        """A changed byte of the content is noticed."""
        data = bytearray(archive((NAME, TEXT), packing=zipfile.ZIP_STORED))
        data[100] ^= 1
        with self.assertRaises(BadWheel):
            read(bytes(data))

    @settings(max_examples=100, deadline=None)
    @given(st.binary(max_size=300), st.integers(0, 400), st.binary(max_size=8))
    def test_rubbish(self, noise: bytes, cut: int, patch: bytes) -> None:
        """Whatever the bytes are, they are read, or refused in words."""
        data = archive((NAME, TEXT[:80]))
        data = data[:cut] + patch + data[cut + len(patch) :] + noise
        with contextlib.suppress(BadWheel):
            self.assertEqual(read(data), TEXT[:80])
