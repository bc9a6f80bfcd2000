"""cabal through the hackage preset; it is not installed for this, as it brings a compiler."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

from tests.clients.test_more_worlds import TurnsCase
from tests.clients.worlds import find_client

CABAL = b"""cabal-version: 1.12
name: tool
version: 1.0
build-type: Simple
library
  default-language: Haskell2010
"""


def packed(**files: bytes) -> bytes:
    """A tar.gz file in the one form that cabal reads."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(out.getvalue(), mtime=0)


class CabalTests(TurnsCase):
    preset, file = "hackage", "/package/tool-1.0.tar.gz"

    def setUp(self) -> None:
        super().setUp()
        self.cabal = find_client("cabal")
        self.begin()

    def publish(self, data: bytes) -> None:
        files = {"tool-1.0/tool.cabal": CABAL, "tool-1.0/data.bin": data}
        self.upstream.put(self.file, packed(**files))
        self.upstream.put("/00-index.tar.gz", packed(**{"tool/1.0/tool.cabal": CABAL}))

    def client(self, turn: str) -> tuple[list[str], Path, dict[str, str]]:
        folder = self.fresh(turn)
        (folder / "config").write_text(
            f"repository hackage.haskell.org\n  url: {self.mirror}/hackage\n  secure: False\n"
            f"remote-repo-cache: {folder}/packages\n"
        )
        cabal = f"{self.cabal} --config-file config"
        script = f"{cabal} update && {cabal} get tool-1.0 -d out"
        return ["sh", "-c", script], folder, {"HOME": str(folder)}

    def got(self, folder: Path) -> bytes:
        return (folder / "out/tool-1.0/data.bin").read_bytes()

    def test_cabal(self) -> None:
        """cabal fetches; again without a byte of a package, and with no upstream."""
        self.turns()
