"""Where channels say that their files are."""

from __future__ import annotations

import bz2
import json

import zstandard
from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems.conda import bases
from tests.ecosystems.support import WorldCase

LONG = "https://up.test/" + "a" * 40


def texted(text: str) -> bytes:
    """A text of MessagePack."""
    data = text.encode()
    return (bytes([0xA0 | len(data)]) if len(data) < 32 else b"\xd9" + bytes([len(data)])) + data


def shards(base: str, shards_base: str) -> bytes:
    """An index of shards, with one package."""
    info = b"\x83" + texted("subdir") + texted("noarch")
    info += texted("base_url") + texted(base) + texted("shards_base_url") + texted(shards_base)
    packed = b"\x82" + texted("info") + info + texted("shards")
    packed += b"\x81" + texted("base_url") + b"\xc4\x20" + b"h" * 32
    return zstandard.ZstdCompressor().compress(packed)


def unpacked(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().stream_reader(data).read()


class BasesTests(SynchronousTestCase):
    def test_led(self) -> None:
        """Whole URLs are led, whatever their length, and nothing else is changed."""
        found = bases.led(shards(LONG, "./shards/"), lambda url: "http://m/" + "b" * 300)
        assert found is not None
        wanted = unpacked(shards(LONG, "./shards/"))
        wanted = wanted.replace(texted(LONG), b"\xda\x01\x35http://m/" + b"b" * 300)
        self.assertEqual(unpacked(found), wanted)

    def test_left_alone(self) -> None:
        """Relative ones, and what is no such index, stay as they are to the byte."""
        for index in (shards("", "../x/"), b"no zstd", b"", zstandard.compress(b"\xa8base_url")):
            self.assertIs(bases.led(index, lambda url: None), index)

    def test_elsewhere(self) -> None:
        """A URL that can't be led makes the index useless."""
        self.assertIsNone(bases.led(shards("", LONG), lambda url: None))

    def test_whole_base(self) -> None:
        """The base of a repodata is found in its info, packed or not."""
        text = json.dumps({"info": {"subdir": "x", "base_url": LONG}, "packages": {}}).encode()
        more = text + b" " * 500_000
        for form in (text, zstandard.compress(more), bz2.compress(more)):
            self.assertEqual(bases.whole_base(form[: bases.HEAD]), LONG)
        for other in (b"", b"BZh", b"\x28\xb5\x2f\xfd", text.replace(b"https://", b"/")):
            self.assertEqual(bases.whole_base(other), "")


class ChannelTests(WorldCase):
    name = "conda"

    def head(self, path: str) -> bytes:
        """The status that HEAD is answered with."""
        return self.ask(path, method="HEAD").received.split()[1]

    def test_shards(self) -> None:
        """An index of shards leads to the mirror, or is not there; HEAD says the same."""
        self.use(path_prefix="/c", strip_prefix=True)
        for base, status in ((LONG, 200), ("https://other.test/", 404), ("", 200)):
            self.store.drop_key("https://up.test/noarch/repodata_shards.msgpack.zst")
            self.answers["/noarch/repodata_shards.msgpack.zst"] = (200, [], shards("", base))
            path = "/c/noarch/repodata_shards.msgpack.zst"
            self.assertEqual(self.head(path), b"%d" % status)
            for _ in range(2):
                found = self.get(path)
                self.assertEqual(found[0], status, base)
            if status == 200:
                led = b"http://mirror.test/c/" in unpacked(found[2])
                self.assertIs(led, bool(base))

    def test_repodata(self) -> None:
        """Plain repodata is led to the mirror; a packed form with a whole URL is not there."""
        self.use(path_prefix="/c", strip_prefix=True)
        text = json.dumps({"info": {"base_url": LONG}, "packages": {}}).encode()
        fields = ["Content-Type: application/json"]
        self.answers["/noarch/repodata.json"] = (200, fields, text)
        self.answers["/noarch/repodata.json.zst"] = (200, [], zstandard.compress(text))
        led = text.replace(b"https://up.test", b"http://mirror.test/c")
        for _ in range(2):
            self.assertEqual(self.get("/c/noarch/repodata.json")[2], led)
            self.assertEqual(self.get("/c/noarch/repodata.json.zst")[0], 404)
            self.assertEqual(self.head("/c/noarch/repodata.json.zst"), b"404")

    def test_relative(self) -> None:
        """Other repodata goes as it is, also once that is known."""
        self.use(path_prefix="/c", strip_prefix=True)
        text = json.dumps({"info": {"subdir": "noarch"}, "packages": {}}).encode()
        self.answers["/noarch/repodata.json"] = (200, ["Cache-Control: max-age=60"], text)
        for word in ("MISS", "HIT", "HIT"):
            status, headers, body = self.get("/c/noarch/repodata.json")
            self.assertEqual((status, body, headers.get("x-cache")), (200, text, word))
