"""Bodies that change on the way out: links, compression, and what tells caches of it."""

from __future__ import annotations

import gzip
import zlib
from typing import Any
from unittest import mock

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from aimirror.exchanges.environment import SMALL
from aimirror.exchanges.library import Library
from aimirror.exchanges.running import Downloads
from aimirror.interfaces import BodyFailed
from aimirror.mirror import changes, transforms
from aimirror.mirror.changes import Change
from aimirror.mirror.transforms import MOST_MIRRORS
from aimirror.routing.choices import ContentRewrite, Strategy
from aimirror.routing.rules import Rule
from tests.mirror.support import REWRITES, UPSTREAM, MirrorCase, Played

PAGE = ("Content-Type: text/html", 'ETag: "v1"', "Cache-Control: max-age=100")
LINK = b'<a href="https://files.test/packages/a.whl">a</a>\n'
HERE = b'<a href="http://mirror.test/packages/a.whl">a</a>\n'
GZIP = "Accept-Encoding: gzip"
#: More than is changed at once here.
LITTLE = 1 << 20
MANY = LITTLE // len(LINK) + 5000


class RewritingTests(MirrorCase):
    def setUp(self) -> None:
        super().setUp()
        self.use(content_rewrite=REWRITES)
        self.plays(200, *PAGE, body=LINK)

    def test_by_host(self) -> None:
        """Each client's links lead to the host by which it came; the original is what is stored."""
        for _ in range(2):
            self.assertEqual(self.get()[2], HERE)
            other = self.get("/x", "Host: other.test:81")[2]
            self.assertIn(b"http://other.test:81/packages", other)
        self.assertEqual(self.asked, 1)
        body = self.store.body(self.entries()[0])
        assert body is not None
        self.assertEqual(body.data(), LINK)

    def test_changed_once(self) -> None:
        """What was changed for the one who has fetched it is at hand for the next ones.

        The rewriter is made once for all bodies.
        """
        self.tools = evolve(self.tools, small=SMALL)
        self.library = Library(self.tools, Downloads(self.tools, most=8, per_host=8))
        self.use(strategy=Strategy.PROXY, content_rewrite=REWRITES)
        self.patch(changes, "_REWRITERS", {})
        with (
            mock.patch.object(Change, "apply", autospec=True, side_effect=Change.apply) as apply,
            mock.patch.object(
                Change, "rewriter", autospec=True, side_effect=Change.rewriter
            ) as made,
        ):
            for path in ("/x", "/y", "/x"):
                self.plays(200, *PAGE, f"Content-Length: {len(LINK)}", body=LINK)
                self.assertEqual(self.get(path, "Accept: other")[2], HERE)
        self.assertEqual((apply.call_count, made.call_count, self.asked), (2, 1, 2))

    def test_not_by_strangers(self) -> None:
        """Forwarded fields of a client that is no trusted proxy change nothing for anybody."""
        for field in ("Forwarded: host=evil.test", "X-Forwarded-Host: evil.test"):
            self.assertEqual(self.get("/x", field)[2], HERE)
        self.assertEqual(self.get()[2], HERE)

    def test_etag(self) -> None:
        """The ETag differs for each base and from the upstream's, and revalidates for its base."""
        mine = self.get()[1].get("etag") or ""
        other = self.get("/x", "Host: other.test")[1].get("etag") or ""
        self.assertEqual(len({mine, other, '"v1"'}), 3)
        for asked, status in ((mine, 304), (other, 200), ('"v1"', 200)):
            self.assertEqual(self.get("/x", f"If-None-Match: {asked}")[0], status, asked)
        self.clock.advance(200)
        self.plays(304, 'ETag: "v1"', body=b"")
        self.assertEqual(self.get("/x", f"If-None-Match: {mine}")[0], 304)
        self.assertEqual(self.last().headers.get("if-none-match"), '"v1"')

    def test_range(self) -> None:
        """A range is one of the rewritten page."""
        self.get()
        status, headers, body = self.get("/x", "Range: bytes=9-31")
        self.assertEqual((status, body), (206, HERE[9:32]))
        self.assertEqual(headers.get("content-range"), f"bytes 9-31/{len(HERE)}")

    def test_mounts(self) -> None:
        """Upstreams of other rules map to their mounts without being listed."""
        other = Rule(name="n", upstreams=("https://n.test/w",), path_prefix="/n", strip_prefix=True)
        self.use(other, content_rewrite=ContentRewrite())
        self.plays(200, *PAGE, body=b'<a href="https://n.test/w/a">')
        self.assertEqual(self.get()[2], b'<a href="http://mirror.test/n/a">')

    def test_exact_types(self) -> None:
        """Other types and other statuses are left as they are."""
        self.plays(200, "Content-Type: application/zip", body=LINK)
        self.assertEqual(self.get("/zip")[2], LINK)
        self.plays(404, *PAGE, body=LINK)
        self.assertEqual(self.get("/none")[2], LINK)

    def large(self) -> None:
        self.patch(transforms, "AT_ONCE", LITTLE)
        self.plays(200, *PAGE, body=LINK * MANY)

    def test_large(self) -> None:
        """A large page is changed while it is sent, cold and stored, and fetched once."""
        self.large()
        for word in ("MISS", "HIT"):
            status, headers, body = self.get()
            self.assertEqual((status, headers.get("x-cache")), (200, word))
            self.assertEqual(headers.get("transfer-encoding"), "chunked")
            self.assertTrue(body == HERE * MANY)
        self.assertEqual(self.asked, 1)

    def test_large_condition(self) -> None:
        """A large page, cold or stored, is not sent to a client that has it."""
        self.large()
        tag = self.get("/other")[1].get("etag")
        for word in ("MISS", "HIT"):
            status, headers, _ = self.get("/x", f"If-None-Match: {tag}")
            self.assertEqual((status, headers.get("x-cache")), (304, word))

    def test_client_leaves(self) -> None:
        """A client that leaves while its page is changed leaves no reader behind."""
        self.large()
        self.get()
        self.slow_threads = True
        client = self.ask()
        client.wire.lose()
        self.run_threads()
        self.assertEqual(self.get("/x", "If-None-Match: *")[0], 304)

    def test_slow_client(self) -> None:
        """To a client that takes nothing only a piece or two are changed."""
        self.large()
        self.get()
        client = self.client(greedy=False)
        client.send(b"GET /x HTTP/1.1\r\nHost: mirror.test\r\n\r\n")
        self.assertLess(client.wire.most_waiting, LITTLE)
        while not client.received.endswith(b"0\r\n\r\n"):
            client.wire.take()
        self.assertTrue(client.answer()[2] == HERE * MANY)

    def test_once_for_all(self) -> None:
        """Equal changes of a stored page that are wanted at once are made once."""
        self.get()
        self.store.changed = lambda key: None
        self.mirror._transforms._kept.clear()
        self.slow_threads = True
        clients = [self.ask("/x", "Accept: */*") for _ in range(3)]
        self.assertEqual(len(self.threads), 1)
        clients[0].wire.lose()
        self.run_threads()
        self.assertEqual([c.answer()[2] for c in clients[1:]], [HERE, HERE])

    def test_read_again(self) -> None:
        """A short body is changed anew when it is not kept; a long one is for a thread."""
        kept = transforms.Transforms((), lambda *_: self.fail())
        for size, fails in ((transforms.LITTLE, False), (transforms.LITTLE + 1, True)):
            data = b"x" * size
            read = kept.reading("blob", Change(gzip=True), lambda data=data: data)
            if fails:
                self.assertRaises(BodyFailed, read)
            else:
                self.assertEqual(gzip.decompress(read()), data)
            kept._kept.clear()

    def test_bounded(self) -> None:
        """Clients that name ever other hosts fill nothing."""
        for number in range(MOST_MIRRORS * 2):
            self.get("/x", f"Host: h{number}.test")
        self.assertLessEqual(len(self.mirror._transforms._links), MOST_MIRRORS)

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.integers(1, 40), max_size=12))
    def test_any_pieces(self, sizes: list[int]) -> None:
        """However the body arrives, the page is the same."""
        self.upstream.handler = None
        self.store.drop_key(f"{UPSTREAM}/x")
        client = self.ask()
        played = Played(200, *PAGE, body=None)
        self.last().answer.callback(played)
        data = LINK * 4
        for size in sizes:
            if data:
                played.data(data[:size])
                data = data[size:]
        if data:
            played.data(data)
        played.end()
        self.assertEqual(client.answer()[2], HERE * 4)


class CompressionTests(MirrorCase):
    TEXT = b"many equal words " * 500

    def setUp(self) -> None:
        super().setUp()
        self.plays(200, *PAGE, body=self.TEXT)

    def test_who_accepts(self) -> None:
        """Text goes compressed to those who accept it, and the right Vary to all."""
        for _ in range(2):
            status, headers, body = self.get("/x", GZIP)
            self.assertEqual((status, headers.get("content-encoding")), (200, "gzip"))
            self.assertEqual(gzip.decompress(body), self.TEXT)
            self.assertEqual(headers.get("vary"), "Accept-Encoding")
            self.assertEqual(headers.get("etag"), 'W/"v1"')
            status, headers, body = self.get("/x")
            self.assertEqual((body, headers.get("vary")), (self.TEXT, "Accept-Encoding"))
            self.assertNotIn("content-encoding", headers)
        self.assertEqual(self.asked, 1)

    def test_refused(self) -> None:
        """A weight of 0 is a refusal."""
        for field in ("gzip;q=0", "identity", "br", "*;q=0"):
            self.assertEqual(self.get("/x", f"Accept-Encoding: {field}")[2], self.TEXT)

    def test_not_worth(self) -> None:
        """Little texts and other types stay as they are, and vary by nothing."""
        self.plays(200, *PAGE, body=b"little")
        self.assertNotIn("vary", self.get("/little", GZIP)[1])
        self.plays(200, "Content-Type: application/zip", body=self.TEXT)
        self.assertEqual(self.get("/zip", GZIP)[2], self.TEXT)

    def test_range(self) -> None:
        """A range is one of the uncompressed text."""
        self.get("/x", GZIP)
        status, headers, body = self.get("/x", GZIP, "Range: bytes=0-3")
        self.assertEqual((status, body), (206, b"many"))
        self.assertNotIn("content-encoding", headers)

    def test_condition(self) -> None:
        """The ETag of a compressed answer revalidates."""
        self.get("/x", GZIP)
        self.assertEqual(self.get("/x", GZIP, 'If-None-Match: W/"v1"')[0], 304)

    def test_upstreams_own(self) -> None:
        """A compressed answer is decoded once and serves all."""
        packed = gzip.compress(self.TEXT)
        self.plays(200, *PAGE, "Content-Encoding: gzip", "Vary: Accept-Encoding", body=packed)
        self.assertEqual(gzip.decompress(self.get("/y", GZIP)[2]), self.TEXT)
        self.assertEqual(self.last().headers.get("accept-encoding"), "gzip")
        self.assertEqual(self.get("/y")[2], self.TEXT)
        self.assertEqual(self.asked, 1)

    def test_while_it_arrives(self) -> None:
        """What has arrived is sent at once, also when it is compressed."""
        self.upstream.handler = None
        client = self.ask("/x", GZIP)
        played = Played(200, *PAGE, body=None)
        self.last().answer.callback(played)
        played.data(b"first part ")
        head, _, sent = client.received.partition(b"\r\n\r\n")
        self.assertIn(b"Content-Encoding: gzip", head)
        self.assertEqual(_inflated(sent), b"first part ")
        played.data(b"second")
        played.end()
        self.assertEqual(gzip.decompress(client.answer()[2]), b"first part second")


def _inflated(chunked: bytes) -> bytes:
    """The bytes within complete chunks, as far as they go."""
    unpack: Any = zlib.decompressobj(31)
    out = b""
    while b"\r\n" in chunked:
        size, _, chunked = chunked.partition(b"\r\n")
        count = int(size, 16)
        out += unpack.decompress(chunked[:count])
        chunked = chunked[count + 2 :]
    return out
