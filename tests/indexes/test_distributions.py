"""Packages whose index other nodes have, or the upstream: which of many is looked at."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems.apt import WORLD as APT
from aimirror.ecosystems.registry import is_index
from aimirror.ecosystems.rpm import WORLD as RPM
from aimirror.ecosystems.world import World
from aimirror.indexes.distributions import Distribution
from aimirror.indexes.reading import Repository
from aimirror.interfaces import Arriving
from aimirror.mirror.ecosystem import ClientRequest
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Route, Rule
from tests.indexes.test_bringing import Shared

HEX = "0f" * 32
BASE = "http://u.test/debian"
RULE = Rule(
    name="r",
    upstreams=(BASE,),
    path_prefix="/debian",
    strip_prefix=True,
    ecosystem="apt",
)
PACKAGE = "/pool/main/h/hello/hello_1_amd64.deb"
SUITE = "/dists/s/main"


class Noted(Shared):
    """Other nodes have left these indexes."""

    def __init__(self, clock: Clock, *paths: str) -> None:
        super().__init__(clock)
        self.paths = paths
        self.looks = 0

    def indexes(self, rule: Rule) -> Deferred[Any]:
        self.looks += 1
        return succeed([BASE + path for path in self.paths])

    def borrow(self, name: Route) -> Deferred[Arriving | None]:
        self.borrowed.append(name.key.removeprefix(BASE))
        return succeed(self.brought(self.others, name))


class DistributionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)

    def made(self, world: World, library: Noted) -> Distribution:
        assert isinstance(world.knowledge, Repository)
        return Distribution(library, world.knowledge)

    def digest(self, made: Distribution, path: str = PACKAGE) -> Digest | None:
        url = BASE + path
        route = Route(RULE, f"/debian{path}", (url,), url, immutable=True, digest=None)
        desk: Any = SimpleNamespace(rules=(RULE,), library=made.library)
        asking = made.digest(ClientRequest(path=route.path), route, desk)
        return self.successResultOf(Deferred.fromCoroutine(asking))

    def test_likeliest(self) -> None:
        """The index of the package's architecture comes first, however many are newer."""
        others = [f"{SUITE}/i18n/by-hash/SHA256/{n:064x}" for n in range(20)]
        right = f"{SUITE}/binary-amd64/by-hash/SHA256/x"
        library = Noted(self.clock, *others, "/other/Packages", right)
        text = f"Package: hello\nFilename: {PACKAGE[1:]}\nSHA256: {HEX}\n"
        library.others = {f"/debian{right}": text.encode()}
        self.assertEqual(self.digest(self.made(APT, library)), Digest("sha256", HEX))
        self.assertEqual(library.borrowed, [right])

    def test_once(self) -> None:
        """Of many packages that no index names, one has the other nodes asked."""
        library = Noted(self.clock, f"{SUITE}/binary-amd64/Packages")
        made = self.made(APT, library)
        for number in range(3):
            self.assertIsNone(self.digest(made, f"/pool/main/x{number}_1_amd64.deb"))
        self.assertEqual((library.looks, len(library.borrowed)), (1, 1))

    def test_alone(self) -> None:
        """A node that is alone looks nowhere else."""
        library = Noted(self.clock, f"{SUITE}/binary-amd64/Packages")
        library.several = False
        self.assertIsNone(self.digest(self.made(APT, library)))
        self.assertEqual((library.looks, library.borrowed, library.asked), (0, [], []))

    def test_led(self) -> None:
        """The upstream's repomd.xml leads to the metadata, which is asked for, and no other."""
        library = Noted(self.clock)
        data = '<checksum type="sha256">{}</checksum><location href="repodata/{}"/>'
        files = ((HEX, "a-primary.xml"), (HEX, "a-other.xml"))
        elements = "".join(
            f'<data type="x">{data.format(digest, name)}</data>' for digest, name in files
        )
        package = "os/Packages/h/hello.rpm"
        primary = (
            f'<package type="rpm"><checksum type="sha256">{HEX}</checksum>'
            '<location href="Packages/h/hello.rpm"/></package>'
        )
        library.upstream = {
            "/debian/os/repodata/repomd.xml": f"<repomd>{elements}</repomd>".encode(),
            "/debian/os/repodata/a-primary.xml": primary.encode(),
        }
        self.assertEqual(self.digest(self.made(RPM, library), f"/{package}"), Digest("sha256", HEX))
        asked = [wanted.key.removeprefix(f"{BASE}/os") for wanted in library.asked]
        self.assertEqual(asked[-2:], ["/repodata/repomd.xml", "/repodata/a-primary.xml"])
        self.assertEqual(len(asked), 4)

    def test_noted(self) -> None:
        """Noted are indexes of packages, of worlds whose packages do not lead to them."""
        self.assertTrue(is_index("apt", f"{BASE}{SUITE}/binary-amd64/Packages.xz"))
        self.assertFalse(is_index("apt", f"{BASE}{PACKAGE}"))
        self.assertFalse(is_index("npm", "http://u.test/Packages"))
        self.assertFalse(is_index("", f"{BASE}{SUITE}/binary-amd64/Packages.xz"))
