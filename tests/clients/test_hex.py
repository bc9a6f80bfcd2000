"""rebar3 through the hex preset, with a registry whose files are signed."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.clients.test_more_worlds import TurnsCase, tarred
from tests.clients.worlds import find_client

METADATA = """{<<"name">>,<<"tool">>}.
{<<"version">>,<<"1.0.0">>}.
{<<"app">>,<<"tool">>}.
{<<"build_tools">>,[<<"rebar3">>]}.
{<<"requirements">>,[]}.
{<<"files">>,[<<"src/tool.app.src">>,<<"priv/data.bin">>]}.
"""
APP = """{application,tool,[{description,"t"},{vsn,"1.0.0"},{applications,[kernel,stdlib]}]}.
"""


def field(number: int, value: bytes) -> bytes:
    """A field of a protocol buffer that has bytes."""
    size, length = len(value), b""
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + value


class HexTests(TurnsCase):
    preset, file, index = "hex", "/tarballs/tool-1.0.0.tar", "/packages/tool"

    def setUp(self) -> None:
        super().setUp()
        find_client("rebar3")
        self.key = rsa.generate_private_key(65537, 2048)
        self.begin()

    def publish(self, data: bytes) -> None:
        content = tarred(**{"src/tool.app.src": APP.encode(), "priv/data.bin": data})
        inner = hashlib.sha256(b"3" + METADATA.encode() + content)
        files = {
            "VERSION": b"3",
            "CHECKSUM": inner.hexdigest().upper().encode(),
            "metadata.config": METADATA.encode(),
            "contents.tar.gz": content,
        }
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for name, each in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(each)
                tar.addfile(info, io.BytesIO(each))
        self.upstream.put(self.file, out.getvalue())
        outer = hashlib.sha256(out.getvalue()).digest()
        release = field(1, b"1.0.0") + field(2, inner.digest()) + field(5, outer)
        self.sign("/packages/tool", field(1, release) + field(2, b"tool") + field(3, b"hexpm"))

    def sign(self, path: str, payload: bytes) -> None:
        """Put a signed file of the registry on the upstream."""
        signature = self.key.sign(payload, padding.PKCS1v15(), hashes.SHA512())
        self.upstream.put(path, gzip.compress(field(1, payload) + field(2, signature), mtime=0))

    def client(self, turn: str) -> tuple[list[str], Path, dict[str, str]]:
        folder = self.fresh(turn)
        shown = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder / "rebar.config").write_text('{deps,[{tool,"1.0.0"}]}.\n')
        settings = folder / ".config/rebar3"
        settings.mkdir(parents=True)
        (settings / "rebar.config").write_text(
            '{hex,[{repos,[#{name => <<"hexpm">>, '
            f'repo_public_key => <<"{shown.decode()}">>}}]}}]}}.\n'
        )
        own = {"HOME": str(folder), "REBAR_CACHE_DIR": str(folder / "cache")}
        own["HEX_CDN"] = f"{self.mirror}/hex"
        return ["rebar3", "get-deps"], folder, own

    def got(self, folder: Path) -> bytes:
        return (folder / "_build/default/lib/tool/priv/data.bin").read_bytes()

    def test_rebar3(self) -> None:
        """rebar3 fetches; again without a byte of a tarball, and with no upstream."""
        self.turns()

    def test_corrupt(self) -> None:
        """A tarball that is not what the registry says is neither used nor kept."""
        self.refused()

    def test_rebuilt(self) -> None:
        """A tarball that was published anew under its version is followed."""
        self.followed()
