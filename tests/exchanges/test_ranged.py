from __future__ import annotations

import errno
from typing import Any

from aimirror.download.piece import OTHER_VALIDATOR
from aimirror.download.plan import first_piece
from aimirror.download.proof import HOLDBACK
from aimirror.download.tasks import Reason
from aimirror.exchanges import ranged
from aimirror.exchanges.sinks import FileSink
from aimirror.http.egress import ANYWHERE, Egress, Trust
from aimirror.http.headers import Headers
from aimirror.interfaces import Arriving, Hop
from aimirror.routing.rules import Rule
from tests.exchanges.support import (
    KB,
    MB,
    URL,
    DownloadCase,
    FakeFetch,
    FakeResponse,
    Reading,
    partial,
    pattern,
    sha256,
    whole,
)
from tests.store.support import descriptors

CONTENT = pattern(6 * MB)
DATED = ("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")


class RangedCase(DownloadCase):
    """One big file."""

    def start(self, rule: Rule | None = None, **wanted: Any) -> Arriving:
        """Its first answer has come, no byte yet."""
        rule = rule or self.rule()
        self.first = self.probe(CONTENT, size=first_piece(rule.chunk_size))
        return self.begin(self.first, self.wanted(rule=rule, **wanted))

    def play(self) -> None:
        """All the rest comes well."""
        self.play_probe(self.first, CONTENT)
        self.pool.bring_all(CONTENT)


class FillingTests(RangedCase):
    """From the probe to the blob."""

    def test_read_and_stored(self) -> None:
        """Readers get bytes as they arrive, in whatever order; then the blob is in the cache."""
        before = descriptors()
        reading = Reading(self.start())
        self.assertEqual(len(self.pool.flying), 3)
        for fetch in self.pool.flying[::-1]:
            fetch.bring(CONTENT)
        self.assertEqual(reading.data, b"")
        self.play()
        self.assertEqual((reading.data, self.stored()), (CONTENT, [CONTENT]))
        self.clock.advance(0)
        self.assertEqual((self.running(), self.left_behind()), (0, []))
        self.store._shelf.close()
        self.assertEqual(descriptors(), before)
        self.assertEqual(len(self.pool.forgotten), 1)

    def test_not_sent_yet(self) -> None:
        """A piece that waits for a worker is not taken for one that the host leaves unanswered."""
        for waits in (True, False):
            self.setUp()
            self.start()
            late, *others = self.pool.flying
            late.waiting = waits
            for _ in range(8):
                for fetch in others:
                    fetch.write(CONTENT, 100 * KB)
                self.clock.advance(0.25)
            self.assertEqual(late.cancelled, not waits)

    def left_behind(self) -> list[str]:
        """Calls that are still to come, but for those of the store."""
        calls = map(str, self.clock.getDelayedCalls())
        return [
            call
            for call in calls
            if not any(name in call for name in ("Database.", "Index.", "Upkeep."))
        ]

    def test_request_fields(self) -> None:
        """Pieces are asked under the probe's validator, where the probe was answered."""
        self.start(self.rule(ecosystem="npm"))
        task = self.pool.fetches[0].task
        self.assertEqual((task.url, task.validator.etag, task.total), (URL, '"v1"', len(CONTENT)))
        self.assertEqual(self.upstream.requests[0].headers.get("Range"), f"bytes=0-{MB - 1}")

    def test_credentials_stay_home(self) -> None:
        """Where a redirect led elsewhere, pieces are asked without the client's credentials."""
        secret = ("Authorization", "Bearer x")
        for url, expected in ((URL, "Bearer x"), ("http://cdn.test/one.bin?sig=1", None)):
            self.setUp()
            self.first = partial(0, MB, len(CONTENT), url=url)
            self.begin(self.first, self.wanted(secret, scope="s"))
            task = self.pool.fetches[0].task
            self.assertEqual((task.url, task.headers.get("Authorization")), (url, expected))

    def test_cookies_of_the_way(self) -> None:
        """What the redirects have set goes along with the pieces, to that host alone."""
        for url, cookie in (("http://files.test/there", "s=1"), ("http://cdn.test/there", None)):
            self.setUp()
            hop = Hop(302, URL, Headers([("Set-Cookie", "s=1; Path=/")]))
            self.first = partial(0, MB, len(CONTENT), url=url, hops=(hop,))
            self.begin(self.first)
            self.assertEqual(self.pool.fetches[0].task.headers.get("Cookie"), cookie)

    def test_certificate_stays_home(self) -> None:
        """Where a redirect led elsewhere, pieces show no certificate."""
        egress = Egress(reach=ANYWHERE, trust=Trust(("ca",), "cert"))
        self.settings = {"egress": lambda rule: egress}
        for url, shown in ((URL, "cert"), ("http://cdn.test/one.bin", "")):
            self.setUp()
            self.first = partial(0, MB, len(CONTENT), url=url)
            self.begin(self.first)
            trust = self.pool.fetches[0].task.egress.trust
            self.assertEqual((trust.ca_files, trust.certificate), (("ca",), shown))

    def test_jump(self) -> None:
        """A reader that begins elsewhere gets its span from the next connection."""
        outcome = self.start(self.rule(chunk_size=256 * KB))
        reading = Reading(outcome, 5 * MB, 5 * MB + 10)
        wanted = [f for f in self.pool.flying if f.task.start == 5 * MB]
        wanted[0].bring(CONTENT)
        self.assertEqual(reading.data, CONTENT[5 * MB : 5 * MB + 10])
        self.play()

    def test_looked_at_while_much_happens(self) -> None:
        """However often pieces end and readers come, a connection that fell silent is dropped."""
        outcome = self.start(self.rule(chunk_size=256 * KB))
        self.play_probe(self.first, CONTENT)
        silent = self.pool.flying[0]
        for _ in range(15):
            self.clock.advance(0.2)
            self.pool.flying[-1].bring(CONTENT)
            outcome.body.reader(0, None).close()
        self.assertTrue(silent.cancelled)
        self.play()

    def test_losers_land_before_the_commit(self) -> None:
        """While a cancelled piece may still write, the file is not made a blob."""
        self.start()
        self.play_probe(self.first, CONTENT)
        last = self.pool.flying[-1]
        last.lingers = True
        while others := [f for f in self.pool.flying if f is not last]:
            others[0].bring(CONTENT)
        last.write(CONTENT)
        self.assertEqual((self.stored(), self.running()), ([], 1))
        last.end(Reason.CANCELLED)
        self.assertEqual(self.stored(), [CONTENT])

    def test_small_hash_is_made_here(self) -> None:
        """A small file is hashed by the parent: no worker is waited for."""
        content = CONTENT[: 300 * KB]
        self.pool.hashing = OSError(errno.EIO, "no worker")
        response = self.probe(content)
        self.begin(response, self.wanted(digest=sha256(content)))
        self.play_probe(response, content)
        self.assertEqual(self.stored(), [content])

    def test_progress(self) -> None:
        """The status page knows what is written."""
        self.start()
        self.pool.flying[0].write(CONTENT, 1000)
        ((progress, body, spans),) = self.downloads.fills()
        start = self.pool.fetches[0].task.start
        self.assertEqual((progress.written, progress.total), (1000, len(CONTENT)))
        self.assertEqual((spans, body.readers), (((start, start + 1000),), 0))
        self.play()


class FaultTests(RangedCase):
    """What can go wrong."""

    def end_first(self, reason: Reason, **rest: Any) -> FakeFetch:
        fetch = self.pool.flying[0]
        fetch.end(reason, **rest)
        return fetch

    def test_worker_lost(self) -> None:
        """What a dead worker had is fetched again from where it was."""
        reading = Reading(self.start())
        fetch = self.pool.flying[0]
        fetch.write(CONTENT, 1000)
        fetch.end(Reason.WORKER_LOST)
        self.assertIn(fetch.task.start + 1000, [f.task.start for f in self.pool.flying])
        self.play()
        self.assertEqual((reading.data, self.stored()), (CONTENT, [CONTENT]))

    def test_other_bytes_of_one_stream(self) -> None:
        """A stream that takes over after ranges must bring what is there already."""
        for content in (CONTENT, b"x" + CONTENT[1:]):
            self.setUp()
            reading = Reading(self.start())
            self.play_probe(self.first, CONTENT)
            self.end_first(Reason.BAD_RANGE)
            answer = self.upstream.answer(whole(content))
            answer.flow(content)
            answer.end()
            right = content == CONTENT
            self.assertEqual((reading.data == CONTENT, bool(self.stored())), (right, right))

    def test_hanging(self) -> None:
        """Pieces that hang beside one that comes are fetched by as many as are answered."""
        reading = Reading(self.start())
        one, *others = self.pool.flying
        one.write(CONTENT, 1)
        self.clock.pump([0.1] * 50)
        self.assertTrue(all(each.cancelled for each in others))
        self.assertTrue(self.ledger.limited(one.task.url.split("/")[2]))
        self.play()
        self.assertEqual((reading.data, self.stored()), (CONTENT, [CONTENT]))

    def test_probe_lost(self) -> None:
        """So is what the probe did not bring."""
        reading = Reading(self.start())
        self.first.flow(CONTENT[:1000])
        self.first.end()
        self.assertIn(1000, [f.task.start for f in self.pool.flying])
        self.pool.bring_all(CONTENT)
        self.assertEqual(reading.data, CONTENT)

    def test_expired_address(self) -> None:
        """A 403 asks the original URL again, with the client's fields, and goes on there."""
        self.start()
        self.end_first(Reason.STATUS, status=403)
        self.assertEqual(self.upstream.requests[-1].headers.get("Range"), "bytes=0-0")
        moved = partial(0, 1, len(CONTENT), url="http://cdn.test/2")
        self.upstream.answer(moved)
        self.assertTrue(moved.aborted)
        self.assertEqual(self.pool.flying[-1].task.url, "http://cdn.test/2")
        self.play()
        self.assertEqual(self.stored(), [CONTENT])

    def test_expired_for_good(self) -> None:
        """When the original URL refuses, too, that is the end, and the part is kept."""
        reading = Reading(self.start())
        self.pool.flying[0].write(CONTENT)
        self.end_first(Reason.STATUS, status=403)
        self.upstream.answer(FakeResponse(401))
        assert reading.failed is not None
        self.assertIs(reading.failed.reason, Reason.STATUS)
        self.assertEqual(self.running(), 0)

    def test_moved_to_another_version(self) -> None:
        """When the original URL has another version by now, nothing is mixed."""
        reading = Reading(self.start())
        self.end_first(Reason.STATUS, status=403)
        self.upstream.answer(partial(0, 1, len(CONTENT), ("ETag", '"v2"')))
        assert reading.failed is not None
        self.assertIs(reading.failed.reason, Reason.CHANGED)

    def test_changed(self) -> None:
        """Another version cuts the readers, drops the part, and the new one is begun."""
        reading = Reading(self.start())
        self.first.flow(CONTENT[: 64 * KB])
        flying = self.pool.flying
        self.end_first(Reason.CHANGED, detail="another ETag")
        assert reading.failed is not None
        self.assertEqual(reading.data, CONTENT[: 64 * KB])
        self.assertTrue(all(f.cancelled for f in flying[1:]))
        self.assertEqual((self.store.usage().parts, self.upstream.waiting), (0, 1))
        second = partial(0, MB, 2 * MB, ("ETag", '"v2"'))
        self.upstream.answer(second)
        self.end_first(Reason.CHANGED)
        self.assertEqual(self.upstream.waiting, 0)

    def test_ranges_lie(self) -> None:
        """Wrong Content-Range: the whole file comes in one stream, to the same readers."""
        reading = Reading(self.start())
        self.play_probe(self.first, CONTENT)
        self.end_first(Reason.BAD_RANGE)
        self.assertIsNone(self.upstream.requests[-1].headers.get("Range"))
        stream = self.upstream.answer(whole(CONTENT))
        stream.flow(CONTENT)
        stream.end()
        self.assertEqual((reading.data, self.stored()), (CONTENT, [CONTENT]))

    def test_one_stream_fails(self) -> None:
        """If that fails, in whatever way, the download ends."""
        answers: list[tuple[FakeResponse | Reason, Reason]] = [
            (Reason.CONNECT, Reason.CONNECT),
            (FakeResponse(403), Reason.STATUS),
            (FakeResponse(206), Reason.STATUS),
            (whole(CONTENT, length=17), Reason.CHANGED),
            (whole(CONTENT, ("Content-Encoding", "gzip")), Reason.ENCODED),
        ]
        for answer, reason in answers:
            self.setUp()
            reading = Reading(self.start())
            self.end_first(Reason.WHOLE)
            if isinstance(answer, Reason):
                self.upstream.refuse(answer)
            else:
                self.upstream.answer(answer)
                self.assertTrue(answer.aborted)
            assert reading.failed is not None, reason
            self.assertIs(reading.failed.reason, reason)
            self.assertEqual(self.downloads_over(), 0)

    def downloads_over(self) -> int:
        """Downloads that still read the first version."""
        return sum(body.failed is not None for _, body, _ in self.downloads.fills())

    def test_one_stream_too_short(self) -> None:
        """A short plain stream is not the file."""
        reading = Reading(self.start())
        self.end_first(Reason.WHOLE)
        stream = self.upstream.answer(whole(CONTENT))
        stream.flow(CONTENT[:MB])
        stream.end()
        assert reading.failed is not None
        self.assertIs(reading.failed.reason, Reason.SHORT)

    def test_dead_upstream(self) -> None:
        """Without an upstream it ends after bounded tries; what came is kept and gone on with."""
        reading = Reading(self.start())
        self.play_probe(self.first, CONTENT)
        self.pool.flying[0].write(CONTENT, 500 * KB)
        rounds = 0
        while reading.failed is None:
            for fetch in self.pool.flying:
                fetch.end(Reason.CONNECT)
            self.clock.advance(31)
            rounds += 1
            self.assertLess(rounds, 30)
        self.assertIs(reading.failed.reason, Reason.CONNECT)
        self.assertEqual((self.running(), self.store.usage().parts), (0, len(CONTENT)))
        fetching = self.downloads.fetch(self.wanted())
        request = self.upstream.requests[-1]
        self.assertEqual(request.headers.get("If-Range"), '"v1"')
        start = MB + 500 * KB
        asked = request.headers.get("Range") or ""
        self.assertTrue(asked.startswith(f"bytes={start}-"), asked)
        stop = int(asked.partition("-")[2]) + 1
        rest = self.upstream.answer(partial(start, stop, len(CONTENT)))
        again = Reading(self.successResultOf(fetching))
        rest.flow(CONTENT[start:stop])
        rest.end()
        self.pool.bring_all(CONTENT)
        self.assertEqual((again.data, self.stored()), (CONTENT, [CONTENT]))

    def test_disk(self) -> None:
        """A worker's disk failure ends it; a full disk is told as such."""
        for reason in (Reason.DISK, Reason.DISK_FULL):
            self.setUp()
            reading = Reading(self.start())
            self.end_first(reason)
            assert reading.failed is not None
            self.assertIs(reading.failed.reason, reason)
            self.assertEqual((self.running(), self.store.usage().parts), (0, 0))

    def test_no_descriptor(self) -> None:
        """When the probe can't be written, the download ends and nothing leaks."""
        before = descriptors()

        def refuse(sink: FileSink, *_: object) -> None:
            raise OSError(errno.EMFILE, "too many open files")

        self.patch(FileSink, "__init__", refuse)
        reading = Reading(self.start())
        assert reading.failed is not None
        self.assertTrue(self.first.aborted)
        self.assertEqual((self.running(), descriptors(), self.pool.flying), (0, before, []))

    def test_no_body(self) -> None:
        """When the part can't even be read, the answer is passed on."""
        opened = ranged.GrowingBody

        def refuse(*args: object, **named: object) -> None:
            raise OSError(errno.EMFILE, "too many open files")

        self.patch(ranged, "GrowingBody", refuse)
        fetching = self.downloads.fetch(self.wanted())
        self.upstream.answer(self.probe(CONTENT))
        self.patch(ranged, "GrowingBody", opened)
        self.upstream.answer(whole(CONTENT))
        self.assertIsInstance(self.successResultOf(fetching), Arriving)

    def test_hashing_fails(self) -> None:
        """A file that can't be read again is not stored."""
        self.pool.hashing = OSError(errno.EIO, "broken")
        reading = Reading(self.start())
        self.play()
        self.assertEqual((self.stored(), self.running()), ([], 0))
        self.assertTrue(reading.data == CONTENT or reading.failed is not None)

    def test_commit_fails(self) -> None:
        """A proven file that can't be stored is served to the end of those who read it."""
        reading = Reading(self.start(digest=sha256(CONTENT)))

        def broken(*_: object) -> None:
            raise OSError(errno.EIO, "broken")

        self.patch(self.store._shelf, "install", broken)
        self.play()
        self.assertEqual((reading.data, reading.failed, self.stored()), (CONTENT, None, []))
        self.assertEqual(self.running(), 0)
        self.clock.advance(60)

    def test_unforeseen(self) -> None:
        """An error in what carries out a command ends the download, with a trace in the log."""

        def broken(*_: object) -> None:
            raise ZeroDivisionError

        self.pool.fetch = broken  # type: ignore[method-assign,assignment]
        reading = Reading(self.start())
        assert reading.failed is not None
        self.assertEqual(self.running(), 0)
        self.assertGreater(len(self.flushLoggedErrors(ZeroDivisionError)), 0)


class OwnTagsTests(RangedCase):
    """Nodes of one host that name the same file by different ETags."""

    def start(self, rule: Rule | None = None, **wanted: Any) -> Arriving:
        """The first node's answer: its tag, the file's date."""
        self.first = self.probe(CONTENT, ("ETag", '"one"'), DATED)
        return self.begin(self.first, self.wanted(rule=rule, **wanted))

    def refuse(self) -> None:
        """Another node answers the pieces that are flying."""
        for fetch in self.pool.flying:
            fetch.end(Reason.CHANGED, detail=OTHER_VALIDATOR)

    def whole(self, content: bytes, *fields: tuple[str, str]) -> FakeResponse:
        """A third node's whole answer."""
        return FakeResponse(200, ("ETag", '"three"'), *fields, length=len(content))

    def test_one_connection(self) -> None:
        """Of the same size and date, one stream brings the rest, to the same readers."""
        reading = Reading(self.start())
        self.play_probe(self.first, CONTENT)
        self.refuse()
        request = self.upstream.requests[-1]
        self.assertFalse(request.headers.has_any({"range", "if-range"}))
        answer = self.upstream.answer(self.whole(CONTENT, DATED))
        answer.flow(CONTENT)
        answer.end()
        self.assertEqual((reading.data, self.stored()), (CONTENT, [CONTENT]))
        self.assertEqual(len(self.upstream.requests), 2)
        self.downloads.fetch(self.wanted(url="http://files.test/two.bin"))
        self.assertNotIn("range", self.upstream.requests[-1].headers)

    def test_several_upstreams(self) -> None:
        """Each of several upstreams may have such nodes; with a known digest none is lost."""
        urls = ("http://files.test", "http://more.test")
        reading = Reading(self.start(self.rule(upstreams=urls), digest=sha256(CONTENT)))
        more = partial(0, 1, len(CONTENT), ("ETag", '"two"'), url="http://more.test/one.bin")
        self.upstream.answer(more)
        self.play_probe(self.first, CONTENT)
        for url in urls:
            other = [each for each in self.pool.flying if each.task.url.startswith(url)]
            other[0].end(Reason.CHANGED, detail=OTHER_VALIDATOR)
            self.assertEqual(self.pool.fetches[-1].task.validator.etag, "")
        [running] = self.downloads._all()
        sources = running.fill.machine.assignment.sources
        self.assertEqual([source.alive for source in sources.values()], [True, True])
        self.pool.bring_all(CONTENT)
        self.assertEqual((reading.data, self.stored()), (CONTENT, [CONTENT]))

    def test_several_without_a_digest(self) -> None:
        """A second upstream with tags of its own is left out; with such nodes it is lost."""
        urls = ("http://files.test", "http://more.test")
        for tag, used in (('"two"', False), ('"one"', True)):
            self.setUp()
            reading = Reading(self.start(self.rule(upstreams=urls)))
            more = partial(0, 1, len(CONTENT), ("ETag", tag), url="http://more.test/one.bin")
            self.upstream.answer(more)
            self.play_probe(self.first, CONTENT)
            others = [each for each in self.pool.flying if "more.test" in each.task.url]
            self.assertEqual(bool(others), used)
            for each in others:
                each.end(Reason.CHANGED, detail=OTHER_VALIDATOR)
            self.assertFalse([each for each in self.pool.flying if "more.test" in each.task.url])
            self.pool.bring_all(CONTENT)
            self.assertEqual((reading.data, self.stored()), (CONTENT, [CONTENT]))

    def test_nodes_of_the_first_of_several(self) -> None:
        """Where the first upstream's nodes have tags of their own, its one stream decides."""
        for content in (CONTENT, b"x" + CONTENT[1:]):
            self.setUp()
            urls = ("http://files.test", "http://more.test")
            reading = Reading(self.start(self.rule(upstreams=urls)))
            more = partial(0, 1, len(CONTENT), ("ETag", '"one"'), url="http://more.test/one.bin")
            self.upstream.answer(more)
            self.play_probe(self.first, CONTENT)
            mine = [each for each in self.pool.flying if "files.test" in each.task.url]
            mine[0].end(Reason.CHANGED, detail=OTHER_VALIDATOR)
            answer = self.upstream.answer(self.whole(content, DATED))
            answer.flow(content)
            answer.end()
            right = content == CONTENT
            self.assertEqual(self.stored(), [CONTENT] if right else [])
            self.assertEqual(reading.data == CONTENT, right)

    def test_other_bytes(self) -> None:
        """Bytes that are not those that were sent already are another version: readers are cut."""
        reading = Reading(self.start())
        self.play_probe(self.first, CONTENT)
        self.refuse()
        answer = self.upstream.answer(self.whole(CONTENT, DATED))
        answer.flow(b"x" + CONTENT[1:])
        assert reading.failed is not None
        self.assertEqual((reading.data, self.stored()), (CONTENT[:MB], []))

    def test_another_date(self) -> None:
        """Another date is another version, as ever."""
        reading = Reading(self.start())
        self.play_probe(self.first, CONTENT)
        self.refuse()
        other = ("Last-Modified", "Tue, 02 Jan 2024 00:00:00 GMT")
        self.upstream.answer(self.whole(CONTENT, other))
        assert reading.failed is not None

    def test_without_a_date(self) -> None:
        """Without one, nothing says that it is the same file."""
        first = self.probe(CONTENT, ("ETag", '"one"'))
        reading = Reading(self.begin(first, self.wanted()))
        self.refuse()
        assert reading.failed is not None

    def test_the_digest_decides(self) -> None:
        """Where the digest is known, many connections go on, and tags are of no account."""
        for content in (CONTENT, b"x" + CONTENT[1:]):
            self.setUp()
            reading = Reading(self.start(digest=sha256(CONTENT)))
            self.play_probe(self.first, content)
            self.refuse()
            self.assertGreater(len(self.pool.flying), 1)
            for fetch in self.pool.flying:
                self.assertEqual(fetch.task.validator.if_range(), "")
            self.pool.bring_all(CONTENT)
            right = content == CONTENT
            self.assertEqual(self.stored(), [CONTENT] if right else [])
            self.assertEqual(reading.data == CONTENT, right)


class ProofTests(RangedCase):
    """Expected digests."""

    def test_right(self) -> None:
        """The last block is held back until the digest has matched."""
        reading = Reading(self.start(digest=sha256(CONTENT)))
        self.play()
        self.assertEqual((reading.data, self.stored()), (CONTENT, [CONTENT]))

    def test_the_end_of_a_file_alone(self) -> None:
        """Who reads a part at the end has it once it has arrived; who reads all waits for proof."""
        outcome = self.start(digest=sha256(CONTENT))
        total = len(CONTENT)
        footer, whole_file = Reading(outcome, total - 1000), Reading(outcome)
        rest, most = Reading(outcome, total // 3), Reading(outcome, total // 3, total)
        last = max(self.pool.flying, key=lambda fetch: fetch.task.stop)
        last.bring(CONTENT)
        self.assertEqual(footer.data, CONTENT[-1000:])
        self.play_probe(self.first, CONTENT)
        self.assertLessEqual(len(whole_file.data), total - HOLDBACK)
        self.bring_but_the_start(total // 3)
        self.assertTrue(most.data == CONTENT[total // 3 :])
        self.assertLessEqual(len(rest.data), total - total // 3 - HOLDBACK)
        self.pool.bring_all(CONTENT)
        self.assertEqual((whole_file.data, rest.data), (CONTENT, CONTENT[total // 3 :]))

    def bring_but_the_start(self, start: int) -> None:
        """Let all pieces arrive that reach beyond a place, the first of the others not."""
        while later := [each for each in self.pool.flying if each.stop > start]:
            later[0].bring(CONTENT)

    def test_wrong_twice(self) -> None:
        """Wrong bytes: kept apart, fetched once more by itself, then refused for a while."""
        wanted = self.wanted(digest=sha256(b"other"))
        reading = Reading(self.start(digest=sha256(b"other")))
        self.play()
        assert reading.failed is not None
        self.assertLessEqual(len(reading.data), len(CONTENT) - HOLDBACK)
        self.assertEqual((self.quarantined(), self.upstream.waiting), (1, 1))
        joined = self.downloads.fetch(wanted)
        self.first = self.upstream.answer(self.probe(CONTENT))
        second = Reading(self.successResultOf(joined))
        self.play()
        assert second.failed is not None
        self.assertEqual((self.quarantined(), self.upstream.waiting, self.stored()), (2, 0, []))
        self.assertIs(self.fetch_error(wanted).reason, Reason.CHANGED)
        self.clock.advance(31)
        self.downloads.fetch(wanted)
        self.assertEqual(self.upstream.waiting, 1)


class AbandonedTests(RangedCase):
    settings = {"finish_abandoned": False}

    def test_dropped(self) -> None:
        """With ``keep_abandoned: drop`` the last reader's leaving stops it; the part is kept."""
        reading = Reading(self.start())
        self.pool.flying[0].write(CONTENT)
        self.clock.advance(1)
        self.pool.flying[1].write(CONTENT)
        reading.done.cancel()
        self.assertEqual((self.running(), self.pool.flying), (0, []))
        self.assertTrue(self.first.aborted)
        self.assertGreater(self.store.usage().parts, 0)

    def test_complete(self) -> None:
        """A reader who has all does not stop what is about to be stored."""
        reading = Reading(self.start())
        self.play()
        self.assertEqual((reading.data, self.stored()), (CONTENT, [CONTENT]))
