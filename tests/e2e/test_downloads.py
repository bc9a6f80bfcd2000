"""Files through the real service from a real origin."""

from __future__ import annotations

from aimirror.testing import client
from tests.e2e.support import CONTENT, SIZE, EndToEndTests, InBackground


class ColdTests(EndToEndTests):
    def test_cold_then_hit(self) -> None:
        """A cold file comes right, by ranges, once; the next client costs upstream nothing."""
        service, path = self.start(), self.serve()
        self.assertWhole(service.get(path))
        self.settle(service)
        cold = self.origin.count(path)
        self.assertGreater(cold.ranged, 1)
        # Spans that two connections raced for are sent twice.
        self.assertLess(cold.body_bytes, SIZE * 1.3)
        again = service.get(path)
        self.assertWhole(again)
        self.assertEqual(again.headers.get("X-Cache"), "HIT")
        self.assertEqual(self.origin.count(path), cold)

    def test_ten_clients_share_one_download(self) -> None:
        """Ten clients at once get the whole file, which is fetched once."""
        service, path = self.start(), self.serve(rate=1_000_000)
        clients = [InBackground(service.get, path) for _ in range(10)]
        for each in clients:
            self.assertWhole(each.result())
        self.assertLess(self.origin.count(path).body_bytes, SIZE * 1.05)

    def test_first_bytes_flow_at_once(self) -> None:
        """The first byte arrives long before the last."""
        service, path = self.start(), self.serve(rate=1_000_000)
        reply = service.get(path)
        self.assertWhole(reply)
        self.assertLess(reply.first_byte, reply.took / 2)

    def test_private(self) -> None:
        """What may not be stored comes by many connections all the same, once for each client."""
        service = self.start(immutable=False)
        path = self.serve(rate=1_000_000, headers=(("Cache-Control", "private, no-store"),))
        for _ in range(2):
            before = self.origin.count(path)
            reply = service.get(path)
            self.assertWhole(reply)
            self.assertEqual(reply.headers.get("X-Cache"), "PASS")
            self.settle(service)
            count = self.origin.count(path)
            self.assertLess(count.body_bytes - before.body_bytes, SIZE * 1.1)
            self.assertGreater(count.requests - before.requests, 4)
        self.assertEqual(list((service.cache / "parts").iterdir()), [])

    def test_range_of_what_is_private(self) -> None:
        """A Range of it is asked for as a Range: never by moving the whole."""
        service = self.start(immutable=False)
        path = self.serve(headers=(("Cache-Control", "private"),))
        self.assertEqual(service.get(path, method="HEAD").headers.get("Accept-Ranges"), "bytes")
        for asked, part in (
            ("-1000", CONTENT[-1000:]),
            ("5000000-5000999", CONTENT[5_000_000:][:1000]),
        ):
            reply = service.get(path, ("Range", f"bytes={asked}"))
            self.assertEqual((reply.status, reply.body == part), (206, True))
        self.assertLess(self.origin.count(path).body_bytes, SIZE / 2)

    def test_plain_strategy(self) -> None:
        """With ``strategy: proxy`` the same file comes in one stream."""
        service, path = self.start(strategy="proxy"), self.serve()
        self.assertWhole(service.get(path))
        self.assertEqual(self.origin.count(path).requests, 1)


class AnswerTests(EndToEndTests):
    def test_ranges(self) -> None:
        """A client's ranges are honoured on a stored file; one behind the end is 416."""
        service, path = self.start(), self.serve()
        self.assertWhole(service.get(path))
        for asked, part in (
            ("0-0", CONTENT[:1]),
            ("5000000-6000000", CONTENT[5_000_000:6_000_001]),
            (f"{SIZE - 9}-", CONTENT[-9:]),
            ("-7", CONTENT[-7:]),
        ):
            reply = service.get(path, ("Range", f"bytes={asked}"))
            self.assertEqual((reply.status, reply.body == part), (206, True), asked)
            start = SIZE - 7 if asked == "-7" else int(asked.partition("-")[0])
            said = f"bytes {start}-{start + len(part) - 1}/{SIZE}"
            self.assertEqual(reply.headers.get("Content-Range"), said)
        beyond = service.get(path, ("Range", f"bytes={SIZE}-"))
        self.assertEqual(
            (beyond.status, beyond.headers.get("Content-Range")), (416, f"bytes */{SIZE}")
        )

    def test_range_of_a_running_download(self) -> None:
        """A range at the end of a file that is still coming does not wait for the rest."""
        service, path = self.start(concurrency=2), self.serve(rate=1_500_000)
        whole = InBackground(service.get, path)
        part = service.get(path, ("Range", "bytes=-1000"))
        self.assertEqual((part.status, part.body == CONTENT[-1000:]), (206, True))
        first = whole.result()
        self.assertWhole(first)
        self.assertLess(part.took, first.took / 2)

    def test_head_and_conditions(self) -> None:
        """HEAD says what GET says; a client's own validator gets 304 without a body."""
        service, path = self.start(), self.serve()
        got = service.get(path)
        head = service.get(path, method="HEAD")
        same = ("ETag", "Last-Modified", "Content-Length", "Content-Type", "Accept-Ranges")
        self.assertEqual(
            [head.headers.get(name) for name in same], [got.headers.get(name) for name in same]
        )
        self.assertEqual(got.headers.get("Content-Length"), str(SIZE))
        for name, value in (
            ("If-None-Match", got.headers.get("ETag")),
            ("If-Modified-Since", got.headers.get("Last-Modified")),
        ):
            reply = service.get(path, (name, value or ""))
            self.assertEqual((reply.status, reply.body), (304, b""), name)

    def test_status_pages(self) -> None:
        """/health and /stats have the documented fields."""
        service, path = self.start(), self.serve()
        self.assertWhole(service.get(path))
        self.settle(service)
        health = service.get("/health").json()
        self.assertEqual(
            (health["status"], health["active_downloads"], health["downloads"]), ("ok", 0, [])
        )
        cache = service.get("/stats").json()["cache"]
        self.assertGreater(cache["total_size_mb"], 0)
        self.assertEqual(cache["file_count"], 1)

    def test_methods_and_paths_pass_through(self) -> None:
        """A proxied request keeps its method, raw path, query and body."""
        service = self.start(strategy="proxy")
        target = "/_origin/echo/a%2Fb?x=1&x=2"
        said = client.request(service.port, target, method="POST", body=b"abc").json()
        self.assertEqual((said["method"], said["target"], said["size"]), ("POST", target, 3))
        self.assertIn(["Host", f"127.0.0.1:{self.origin.port}"], said["headers"])


class OddUpstreamTests(EndToEndTests):
    def test_without_ranges(self) -> None:
        """An origin that ignores Range is read in one stream, and the file is stored."""
        service, path = self.start(), self.serve(ranges=False)
        self.assertWhole(service.get(path))
        self.settle(service)
        self.assertEqual(service.get(path).headers.get("X-Cache"), "HIT")
        self.assertLess(self.origin.count(path).body_bytes, SIZE * 1.5)

    def test_without_length(self) -> None:
        """A chunked body of unknown length comes whole."""
        service = self.start()
        path = self.serve(ranges=False, framing="chunked")
        self.assertWhole(service.get(path))

    def test_lies_in_content_range(self) -> None:
        """Wrong offsets or totals in Content-Range never put a wrong byte into an answer."""
        service = self.start()
        for number, lie in enumerate(({"range_shift": 1}, {"range_total": SIZE + 5})):
            path = self.serve(f"/lie{number}.bin", **lie)
            try:
                reply = service.get(path)
            except client.Broken as broken:
                self.assertTrue(CONTENT.startswith(broken.received))
                continue
            self.assertTrue(reply.status >= 500 or reply.body == CONTENT, reply.status)
        self.assertEqual(service.get("/health").status, 200)

    def test_lies_once(self) -> None:
        """After one wrong Content-Range the file comes right all the same."""
        service, path = self.start(), self.serve(range_shift=1, times=1)
        self.assertWhole(service.get(path))

    def test_cut_connections(self) -> None:
        """Bodies that end early are completed by further requests."""
        service, path = self.start(), self.serve(short=300_000, times=3)
        self.assertWhole(service.get(path))

    def test_changes_midway(self) -> None:
        """Bytes of two versions are never joined in one answer."""
        service = self.start()
        path = self.serve(rate=1_000_000, changes_at=5, next_seed=8)
        try:
            reply = service.get(path)
        except client.Broken as broken:
            self.assertTrue(CONTENT.startswith(broken.received))
        else:
            self.assertNotEqual(reply.body[:1000], CONTENT[:1000])
        after = service.get(path)
        self.assertNotEqual(after.body[:1000], CONTENT[:1000])
        self.assertEqual(after.body[-1000:], client.request(self.origin.port, path).body[-1000:])
