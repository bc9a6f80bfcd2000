"""Repeats are answered without asking, as long as that is right."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.http.headers import Headers
from aimirror.server import channel
from aimirror.server.access import Limits
from aimirror.server.access_log import AccessRecord
from aimirror.server.answers import Answer
from aimirror.server.head import Form, Head, parse_head
from aimirror.server.likeness import NEUTRAL, PERSONAL, alike
from aimirror.server.memo import HELD_SECONDS, MAX_BODY, MAX_KEY, Memo, Remembered
from aimirror.server.request import MirrorRequest
from tests.server.support import GET, NOW, Connection, connect

KEPT_ALIVE = b"\r\nConnection: keep-alive\r\n\r\n"
FIELDS = Headers([("Content-Type", "text/html"), ("Age", "5"), ("X-Cache", "HIT")])


class Counted:
    """A handler that counts how often it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked = 0

    async def __call__(self, _: MirrorRequest) -> Answer:
        self.asked += 1
        return self.answer


def page(**options: object) -> Answer:
    given_options = {"status": 200, "headers": FIELDS, "body": b"page", "memo_until": NOW + 60}
    return Answer(**{**given_options, **options})


class RepeatTests(SynchronousTestCase):
    def asked(self, answer: Answer, *requests: bytes, **options: object) -> tuple[int, Connection]:
        """How often the handler was asked for these requests."""
        handler = Counted(answer)
        client = connect(handler, **options)
        for request in requests:
            client.send(request)
        self.assertEqual(len(client.answers()), len(requests))
        return handler.asked, client

    def test_repeat(self) -> None:
        """An exact repeat gets byte for byte the same, from any client, also in a pipeline."""
        asked, client = self.asked(page(), GET, GET)
        other = connect(site=client.site)
        other.send(GET * 5)
        self.assertEqual(asked, 1)
        self.assertEqual(client.received + other.received, self.times(7))

    def times(self, count: int) -> bytes:
        client = connect(Counted(page()))
        client.send(GET)
        return client.received * count

    def test_cut_in_segments(self) -> None:
        """A repeat that arrives in pieces is one, too."""
        asked, _ = self.asked(page(), GET)
        handler = Counted(page())
        client = connect(handler)
        client.send(GET)
        for byte in GET:
            client.send(bytes([byte]))
        self.assertEqual((asked, handler.asked, len(client.answers())), (1, 1, 2))

    def test_difference(self) -> None:
        """Another target, host, version or field is another request."""
        for other in (
            GET.replace(b"/ ", b"/? "),
            GET.replace(b"mirror", b"other"),
            GET.replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"\r\n\r\n", KEPT_ALIVE),
            *(GET[:-2] + name + b": x\r\n\r\n" for name in (b"Accept", b"Range", b"Unheard-Of")),
        ):
            self.assertEqual(self.asked(page(), GET, other, GET, other)[0], 2, other)

    def test_unread(self) -> None:
        """The head of a repeat is not read, whatever it asks for, once its fields were."""
        client = connect(Counted(page()))
        fields = b" HTTP/1.1\r\nHost: mirror.test\r\nX-Mine: 1\r\n\r\n"
        paths = [b"GET /%d" % n for n in range(9)]
        for path in paths:
            client.send(path + fields)
        self.patch(channel, "parse_head", self.fail)
        for path in paths:
            client.send(path + fields)
        self.assertEqual(len(client.answers()), 18)

    def test_same_fields(self) -> None:
        """Who sends a request, and the order and case of its fields, make no difference."""
        plain = GET[:-2] + b"Accept: */*\r\n\r\n"
        lines = [b"GET / HTTP/1.1", b"accept:*/*", b"hOST: mirror.test", b"", b""]
        same = b"\r\n".join(lines)
        others = [
            plain[:-2] + name.encode() + b": %d\r\n\r\n" % n
            for n, name in enumerate(sorted(NEUTRAL))
        ]
        asked, client = self.asked(page(), plain, same, *others, *others)
        self.assertEqual(asked, 1)
        (first, *rest) = client.answers()
        self.assertEqual(rest, [first] * len(rest))

    def test_own_words_in_the_log(self) -> None:
        """Who gets another's answer is logged with its own name and origin."""
        told: list[AccessRecord] = []
        client = connect(Counted(page()), access=lambda e, *_: told.append(e))
        for agent in (b"a", b"b", b"b"):
            more = b"User-Agent: %b\r\nReferer: from-%b\r\n\r\n" % (agent, agent)
            client.send(GET[:-2] + more)
        found = [(e.agent, e.referer) for e in told]
        self.assertEqual(found, [("a", "from-a"), ("b", "from-b"), ("b", "from-b")])

    def test_malformed(self) -> None:
        """A head that only a lax reader would take for a known one is refused as ever."""
        client = connect(Counted(page()))
        client.send(GET + GET[:-2] + b"User-Agent : x\r\n\r\n")
        self.assertEqual([status for status, _, _ in client.answers()], [200, 400])

    def test_age_and_date(self) -> None:
        """Age and Date are those of the moment, whether the Date is ours or the origin's."""
        origin = ("Date", "Mon, 13 Nov 2023 00:00:00 GMT")
        for headers, date in (
            (FIELDS, "Tue, 14 Nov 2023 22:13:30 GMT"),
            (Headers([*FIELDS, origin]), origin[1]),
        ):
            asked, client = self.asked(page(headers=headers), GET)
            client.clock.advance(10)
            client.send(GET)
            told = client.answers()[1][1]
            self.assertEqual((told.get("age"), told.get_all("date")), ("15", (date,)))
            self.assertEqual(asked, 1)

    def test_what_is_left(self) -> None:
        """The seconds of freshness that are told count down; those of other caches stay."""
        told = ("Cache-Status", "other; hit; ttl=50, aimirror; hit; ttl=60")
        handler = Counted(page(headers=Headers([*FIELDS, told])))
        client = connect(handler)
        client.send(GET)
        for seconds in (7, 20):
            client.clock.advance(seconds)
            client.send(GET)
        found = [headers.get("cache-status") for _, headers, _ in client.answers()]
        wanted = [f"other; hit; ttl=50, aimirror; hit; ttl={left}" for left in (60, 53, 33)]
        self.assertEqual((found, handler.asked), (wanted, 1))

    def test_freshness(self) -> None:
        """When its time is over the handler is asked again."""
        handler = Counted(page())
        client = connect(handler, limits=Limits(keep_alive=1000))
        client.send(GET)
        client.clock.advance(59)
        client.send(GET)
        self.assertEqual(handler.asked, 1)
        client.clock.advance(1)
        client.send(GET)
        self.assertEqual(handler.asked, 2)

    def test_invalidation(self) -> None:
        """After an invalidation the handler is asked; an answer begun before is not kept."""
        handler = Counted(page())
        client = connect(handler)
        client.send(GET)
        client.site.memo.invalidate()
        client.send(GET)
        self.assertEqual(handler.asked, 2)

        async def changing(_: MirrorRequest) -> Answer:
            client.site.memo.invalidate()
            return page()

        client.site.memo.invalidate()
        other = connect(changing, memo=client.site.memo)
        self.assertIs(other.site.memo, client.site.memo)
        other.send(GET)
        self.assertEqual(len(client.site.memo), 0)

    def test_invalidation_of_one(self) -> None:
        """A change of an entry takes the answers that depend on it, and no others."""
        more = ("https://upstream.test/index", "https://upstream.test/dists/")
        handler = Counted(page(memo_of="https://upstream.test/a", memo_with=more))
        client = connect(handler)
        client.send(GET)
        for path in ("b", "a/b", "index2", "dists", "x/dists/a"):
            client.site.memo.invalidate(f"https://upstream.test/{path}")
        client.send(GET)
        self.assertEqual(handler.asked, 1)
        for count, path in enumerate(("a", "index", "dists/s/Packages"), 2):
            client.site.memo.invalidate(f"https://upstream.test/{path}")
            client.send(GET)
            self.assertEqual(handler.asked, count)
        client.site.memo.invalidate()
        self.assertEqual(len(client.site.memo), 0)

    def test_what_is_not_kept(self) -> None:
        """No answer is kept that is personal, large, unasked, or for another method."""
        for answer, request in (
            (page(memo_until=0.0), GET),
            (page(memo_until=NOW), GET),
            (page(body=b"x" * (MAX_BODY + 1)), GET),
            (page(), GET.replace(b"GET", b"POST")),
            (page(), GET.replace(b"/ ", b"/%b " % (b"x" * MAX_KEY))),
            (page(), GET[:-2] + b"Content-Length: 1\r\n\r\nx"),
            (page(), b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
        ):
            handler = Counted(answer)
            client = connect(handler)
            client.send(request + request)
            self.assertEqual(handler.asked, 2, request[:60])
            self.assertEqual(len(client.site.memo), 0)

    def test_names_and_values(self) -> None:
        """What is the name of a field in one request is no value in another."""
        heads = [
            parse_head(b"GET / HTTP/1.1\r\nHost: h\r\n%b\r\n" % fields)
            for fields in (
                b"X-A: 1\r\nX-A: x-b\r\nX-A: 2\r\n",
                b"X-A: 1\r\nX-B: 2\r\n",
                b"X-A: 1\r\nX-A: x-b:2\r\n",
                b"X-A: 1\r\nX-A:\r\nX-B: 2\r\n",
            )
        ]
        self.assertEqual(len({head.likeness() for head in heads}), len(heads))

    def test_head(self) -> None:
        """HEAD is kept apart from GET, without its body, with its length."""
        head = GET.replace(b"GET", b"HEAD")
        handler = Counted(page())
        client = connect(handler)
        client.send(head)
        first = client.received
        client.send(head)
        self.assertEqual(client.received, first * 2)
        self.assertIn(b"Content-Length: 4\r\n", first)
        self.assertTrue(first.endswith(b"\r\n\r\n"))
        client.send(GET)
        self.assertEqual(handler.asked, 2)

    def test_last_request(self) -> None:
        """Who wants the connection closed gets that, from memory as well."""
        for last in (
            GET[:-2] + b"Connection: close\r\n\r\n",
            GET.replace(b"HTTP/1.1", b"HTTP/1.0"),
        ):
            handler = Counted(page())
            site = connect(handler).site
            received = []
            for _ in range(3):  # looked up, then known by its like
                client = connect(site=site)
                client.send(last + GET)
                self.assertTrue(client.closed)
                received.append(client.received)
            self.assertEqual(received, [received[0]] * 3)
            self.assertIn(b"Connection: close\r\n", received[0])
            self.assertEqual((handler.asked, received[0].count(b"HTTP/1.1 200")), (1, 1))

    def test_closing_for_other_reasons(self) -> None:
        """That one connection has had its requests closes no others."""
        handler = Counted(page())
        client = connect(handler, limits=Limits(requests=1))
        client.send(GET)
        self.assertTrue(client.closed)
        client.site.limits = Limits()
        other = connect(site=client.site)
        other.send(GET + GET)
        self.assertFalse(other.closed)
        self.assertEqual(len(other.answers()), 2)

    def test_personal(self) -> None:
        """A request that carries a credential, or whom it is forwarded for, is never kept."""
        for name in PERSONAL:
            request = GET[:-2] + name.encode() + b": x\r\n\r\n"
            self.assertEqual(self.asked(page(), request, request)[0], 2, name)

    def test_conditional(self) -> None:
        """A 304 is kept like any answer of a few bytes."""
        tagged = page(headers=Headers([("ETag", '"v1"')]))
        request = GET[:-2] + b'If-None-Match: "v1"\r\n\r\n'
        asked, client = self.asked(tagged, request, request)
        self.assertEqual((asked, [s for s, _, _ in client.answers()]), (1, [304, 304]))

    def test_access_log(self) -> None:
        """Each repeat is logged like any answer, but that it has no name of its own."""
        told: list[tuple[AccessRecord, str, int]] = []
        handler = Counted(page())
        client = connect(handler, access=lambda e, peer, sent, _: told.append((e, peer, sent)))
        client.send(GET * 3)
        self.assertEqual(told[1:], [(told[0][0].repeated(), *told[0][1:])] * 2)
        self.assertTrue(told[0][0].id)
        self.assertEqual((told[0][0].outcome, told[0][1:]), ("HIT", ("192.0.2.7", 4)))

    def test_number_of_requests(self) -> None:
        """Repeats count as requests of the connection, whose last one says close."""
        client = connect(Counted(page()), limits=Limits(requests=3))
        client.send(GET * 5)
        told = [headers.get("connection") for _, headers, _ in client.answers()]
        self.assertEqual(told, [None, None, "close"])


def remembered(size: int) -> Remembered:
    exchange = AccessRecord("GET", "/", "HTTP/1.1", 200, "", "", "")
    return Remembered(b"HTTP/1.1 200 OK\r\n", b"x" * size, True, None, NOW, NOW + 60, exchange)


def readable(size: int) -> Remembered:
    answer = remembered(0)
    answer.read = lambda now: b"x" * size
    return answer


class MemoTests(SynchronousTestCase):
    @given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3000), st.booleans()), max_size=40))
    @settings(max_examples=50, deadline=None)
    def test_bound(self, steps: list[tuple[int, int, bool]]) -> None:
        """It never holds more bytes than it may, and its own count of them is right."""
        memo = Memo(max_bytes=20_000)
        for key, size, reading in steps:
            name = b"%d" % key
            answer = memo.get(name, NOW)
            if not reading:
                memo.put(name, remembered(size), memo.epoch)
                memo.put(b"read %d" % key, readable(size), memo.epoch)
            elif answer is not None:
                memo.content(answer, NOW)
                again = memo.get(b"read " + name, NOW)
                if again is not None:
                    self.assertEqual(memo.content(again, NOW), again.read and again.read(NOW))
            held = sum(len(k) + a.cost() for k, a in memo._answers.items())
            held += sum(len(a.body) for a in memo._answers._values.values() if a.read)
            self.assertEqual(memo._held, held)
            self.assertLessEqual(held, 20_000)

    def test_least_recently_used_goes_first(self) -> None:
        """What was asked for lately stays."""
        one = remembered(1000)
        memo = Memo(max_bytes=2 * (one.cost() + 1))
        memo.put(b"a", one, 0)
        memo.put(b"b", one, 0)
        memo.get(b"a", NOW)
        memo.put(b"c", evolve(one), 0)
        self.assertEqual(
            [memo.get(k, NOW) is None for k in (b"a", b"b", b"c")], [False, True, False]
        )

    def test_end(self) -> None:
        """What does not hold any more is let go of with its body."""
        memo = Memo()
        one = readable(10)
        memo.put(b"a", one, 0)
        for _ in range(2):
            memo.content(one, NOW)
        self.assertEqual(memo._held, 1 + one.cost() + 10)
        self.assertIsNone(memo.get(b"a", NOW + 60))
        self.assertEqual((memo._held, len(memo)), (0, 0))

    def test_held(self) -> None:
        """A body that is asked for again is held, for a while; then the disk is asked anew."""
        memo = Memo()
        one = readable(10)
        reads: list[bytes] = []
        read = one.read
        one.read = lambda now: reads.append(b"") or read(now)
        memo.put(b"a", one, 0)
        times = (0.0, 0.0, 1.0, HELD_SECONDS - 1, HELD_SECONDS, HELD_SECONDS + 1)
        counts = []
        for seconds in times:
            memo.content(one, NOW + seconds)
            counts.append(len(reads))
        self.assertEqual(counts, [1, 2, 2, 2, 3, 3])

    def test_bodies_make_way(self) -> None:
        """More bodies than there is room for, in turns, drive out neither answers nor each other.

        Once they are not held any more, others are.
        """
        memo = Memo(max_bytes=200_000)
        answers = [readable(10_000) for _ in range(50)]
        for n, answer in enumerate(answers):
            memo.put(b"%d" % n, answer, 0)
        for _ in range(3):
            for answer in answers:
                self.assertEqual(len(memo.content(answer, NOW) or b""), 10_000)
        self.assertEqual(len(memo), 50)
        first = [answer for answer in answers if answer.body]
        self.assertEqual(first, answers[: len(first)])
        self.assertGreater(len(first), 5)
        later = NOW + HELD_SECONDS
        for answer in answers[::-1]:
            memo.content(answer, later)
        self.assertEqual([a for a in answers if a.body], answers[-len(first) :])
        memo.put(b"large", remembered(180_000), 0)
        self.assertEqual((len(memo._bodies), memo._held <= 200_000), (0, True))

    def test_without_host(self) -> None:
        """A request without Host depends on the address it came to."""
        self.assertIsNone(parse_head(b"GET / HTTP/1.0\r\n\r\n").likeness())
        self.assertIsNotNone(parse_head(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n").likeness())

    @given(
        st.lists(
            st.tuples(st.sampled_from(["A", "b", "Host", "User-Agent"]), st.sampled_from("xy")),
            max_size=4,
        ),
        st.lists(
            st.tuples(st.sampled_from(["A", "b", "Host", "User-Agent"]), st.sampled_from("xy")),
            max_size=4,
        ),
    )
    def test_likeness(self, one: list[tuple[str, str]], other: list[tuple[str, str]]) -> None:
        """Two heads are alike if and only if the values of all fields but neutral ones agree."""
        fields = [Headers(pairs) for pairs in (one, other)]
        likes = [
            Head("GET", "/", "HTTP/1.1", Form.ORIGIN, each, 0, True, False, alike(each)).likeness()
            for each in fields
        ]
        names = ("a", "b", "host")
        values = [[each.get_all(name) for name in names] for each in fields]
        hosted = all("host" in each for each in fields)
        self.assertEqual(likes[0] == likes[1] is not None, hosted and values[0] == values[1])
