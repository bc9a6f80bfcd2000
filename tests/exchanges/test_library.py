"""The door to what is known of a key."""

from __future__ import annotations

import errno
from typing import Any
from unittest import mock

from aimirror.caching.entries import Entry
from aimirror.download.tasks import Reason
from aimirror.exchanges.library import Library
from aimirror.http.egress import ANYWHERE, Egress, Trust, Zone
from aimirror.http.headers import Headers
from aimirror.interfaces import (
    Arriving,
    Described,
    Inquiry,
    IUpstreamResponse,
    UpstreamError,
    Validated,
)
from aimirror.routing.choices import Strategy
from aimirror.store.catalogue import Catalogue
from aimirror.store.errors import DiskError
from aimirror.testing.library import FakeLibrary
from tests.exchanges.support import (
    URL,
    DownloadCase,
    FakeResponse,
    Reading,
    evolve,
    partial,
    sha256,
    whole,
)

CONTENT = b"content of a file"


class LibraryCase(DownloadCase):
    def setUp(self) -> None:
        super().setUp()
        self.library = Library(self.make_tools(), self.downloads)

    def fetch(self) -> Arriving:
        """A plain download whose header is there."""
        wanted = self.wanted(rule=self.rule(strategy=Strategy.PROXY))
        fetching = self.library.fetch(wanted)
        self.response = self.upstream.answer(whole(CONTENT))
        outcome = self.successResultOf(fetching)
        assert isinstance(outcome, Arriving)
        return outcome


class AtTests(LibraryCase):
    def test_nothing(self) -> None:
        """Of an unknown key nothing is there."""
        held = self.library.at(URL)
        self.assertEqual((held.entries, held.arriving, held.under_way), ((), (), False))

    def test_from_the_header_to_the_store(self) -> None:
        """A file is under way, arriving, arrived, stored; at each moment by one question."""
        wanted = self.wanted(rule=self.rule(strategy=Strategy.PROXY))
        fetching = self.library.fetch(wanted)
        held = self.library.at(URL)
        self.assertEqual((held.under_way, held.known, held.arrived), (True, (), None))
        response = self.upstream.answer(whole(CONTENT))
        held = self.library.at(URL)
        self.assertEqual(held.arriving, (self.successResultOf(fetching),))
        self.assertEqual((held.arrived, held.public()), (None, False))
        response.flow(CONTENT)
        response.end()
        held = self.library.at(URL)
        self.assertEqual((held.under_way, held.arriving, held.public()), (False, (), True))
        body = self.library.body(held.entries[0])
        assert body is not None
        self.assertEqual(body.data(), CONTENT)

    def test_dropped_on_a_full_disk(self) -> None:
        """An entry that is no good is no reason to fail, though the index can't be written."""
        entry = self.add(CONTENT)
        full = mock.patch.object(Catalogue, "drop", side_effect=DiskError(errno.ENOSPC, "full"))
        for drop in (self.library.drop, self.library.outdate):
            with full:
                drop(entry)
            self.assertEqual(len(self.library.at(entry.key).entries), 1)
        self.library.drop(entry)
        self.assertEqual(self.library.at(entry.key).entries, ())

    def test_scopes(self) -> None:
        """What arrives for one credential is not there for another, nor for nobody."""
        rule = self.rule(strategy=Strategy.PROXY)
        own = self.library.fetch(self.wanted(("Authorization", "a"), rule=rule, scope="a"))
        self.upstream.answer(whole(CONTENT))
        self.assertEqual(self.library.at(URL, "a").arriving, (self.successResultOf(own),))
        self.assertEqual(self.library.at(URL, "b").arriving, ())
        self.assertEqual(self.library.at(URL).arriving, ())
        self.library.fetch(self.wanted(rule=rule))
        self.upstream.answer(whole(CONTENT))
        self.assertEqual([each.scope for each in self.library.at(URL, "a").arriving], ["a", ""])

    def test_read(self) -> None:
        """A body can be read as it arrives, up to a bound."""
        arriving = self.fetch()
        reading = self.library.read(arriving.body, 100, 3, 8)
        self.assertNoResult(reading)
        self.response.flow(CONTENT)
        self.response.end()
        self.assertEqual(self.successResultOf(reading), CONTENT[3:8])


class HeadTests(LibraryCase):
    def test_as_get_would(self) -> None:
        """HEAD of a file asks for one byte and tells the whole file's fields."""
        heading = self.library.head(self.wanted(rule=self.rule(ecosystem="npm")))
        self.assertEqual(self.upstream.requests[-1].headers.get("range"), "bytes=0-0")
        self.upstream.answer(partial(0, 1, 1000))
        described = self.successResultOf(heading)
        assert isinstance(described, Described)
        self.assertEqual((described.entry.status, described.stored), (200, True))
        self.assertEqual(described.entry.headers.get("content-length"), "1000")
        self.assertEqual(self.library.at(URL).entries, ())

    def test_unknown_host(self) -> None:
        """Where a link may work once, HEAD is no use of it; GET asks where HEAD is refused."""
        heading = self.library.head(self.wanted(url=f"{URL}?ticket=1"))
        self.assertEqual([each.method for each in self.upstream.requests], ["HEAD"])
        said = ("Accept-Ranges", "bytes")
        self.upstream.answer(whole(b"", said, ("Content-Length", "1000"), length=1000)).end()
        described = self.successResultOf(heading)
        assert isinstance(described, Described)
        self.assertEqual((described.stored, described.entry.status), (True, 200))
        for status in (403, 405):
            heading = self.library.head(self.wanted(url=f"{URL}?ticket=1"))
            self.upstream.answer(FakeResponse(status))
            self.assertEqual(self.upstream.requests[-1].headers.get("range"), "bytes=0-0")
            self.upstream.answer(partial(0, 1, 1000))
            described = self.successResultOf(heading)
            assert isinstance(described, Described)
            self.assertEqual(described.entry.headers.get("content-length"), "1000")

    def test_joins(self) -> None:
        """HEAD of what arrives costs no request."""
        arriving = self.fetch()
        heading = self.library.head(self.wanted())
        self.assertIs(self.successResultOf(heading), arriving)

    def test_another_version(self) -> None:
        """A 304 about another version than the stored one is no answer: HEAD asks again."""
        entry = Entry(key=URL, headers=Headers([("ETag", '"v0"')]))
        wanted = self.wanted(previous=entry, conditional=Headers([("If-None-Match", '"v0"')]))
        heading = self.library.head(wanted)
        self.upstream.answer(whole(b"", ("ETag", '"v1"')))
        self.assertIsInstance(self.successResultOf(heading), Described)
        heading = self.library.head(wanted)
        response = whole(b"")
        response.status = 304
        self.upstream.answer(response)
        self.assertNotIn("if-none-match", self.upstream.requests[-1].headers)
        self.upstream.answer(partial(0, 1, 1000))
        self.assertIsInstance(self.successResultOf(heading), Described)

    def test_part_for_the_whole(self) -> None:
        """A 200 that is a part by its Content-Range does not tell the file's length."""
        heading = self.library.head(self.wanted(rule=self.rule(ecosystem="npm")))
        self.upstream.answer(whole(b"x", ("Content-Range", "bytes 0-0/1000")))
        self.assertNotIn("range", self.upstream.requests[-1].headers)
        self.upstream.answer(FakeResponse(200, ("Content-Length", "1000"), length=1000))
        described = self.successResultOf(heading)
        assert isinstance(described, Described)
        self.assertEqual(described.entry.headers.get("content-length"), "1000")

    def test_confirmed(self) -> None:
        """A 304 confirms the stored entry, for GET as well."""
        stored = Entry(key=URL, headers=Headers([("ETag", '"v1"'), ("Date", "x")]))
        self.store.put(stored)
        conditional = Headers([("If-None-Match", '"v1"')])
        heading = self.library.head(self.wanted(previous=stored, conditional=conditional))
        response = whole(b"")
        response.status = 304
        self.upstream.answer(response)
        validated = self.successResultOf(heading)
        assert isinstance(validated, Validated)
        self.assertEqual(self.library.at(URL).entries, (validated.entry,))


class AskTests(LibraryCase):
    """Small requests of the mirror's own, and those that are passed through."""

    settings = {"egress": lambda rule: Egress(reach=ANYWHERE, trust=Trust(("ca",), "cert", "key"))}

    def inquiry(self, url: str = "http://files.test/list", **more: Any) -> Inquiry:
        return Inquiry(rule=self.rule(), url=url, headers=Headers(), **more)

    def test_certificate(self) -> None:
        """Only the rule's own upstreams are shown its certificate, wherever an answer leads."""
        for url, shown in (("http://files.test/t", "cert"), ("http://else.test/t", "")):
            self.library.ask(self.inquiry(url, named_by=Zone.PUBLIC))
            trust = self.upstream.requests[-1].egress.trust
            self.assertEqual((trust.ca_files, trust.certificate), (("ca",), shown))

    def test_left_alone(self) -> None:
        """Retry-After holds for what is asked and what is fetched alike, by its own status."""
        for status in (429, 503):
            self.setUp()
            asked = self.library.ask(self.inquiry())
            self.upstream.answer(FakeResponse(status, ("Retry-After", "30")))
            self.assertEqual(self.successResultOf(asked).status, status)
            again = self.library.ask(self.inquiry("http://files.test/other"))
            refused = self.failureResultOf(again, UpstreamError).value
            self.assertEqual((refused.retry_after, refused.status), (30, status))
            refused = self.failureResultOf(self.library.fetch(self.wanted()), UpstreamError).value
            self.assertEqual(refused.status, status)
            self.assertEqual(len(self.upstream.requests), 1)
            self.clock.advance(30)
            self.library.ask(self.inquiry())
            self.assertEqual(len(self.upstream.requests), 2)

    def test_one_credential_too_often(self) -> None:
        """429 says nothing to those with another credential."""
        self.library.ask(self.inquiry())
        self.upstream.answer(FakeResponse(429, ("Retry-After", "30")))
        other = evolve(self.inquiry(), headers=Headers([("Authorization", "Basic b3RoZXI6")]))
        self.library.ask(other)
        self.assertEqual(self.upstream.waiting, 1)

    def test_in_turn(self) -> None:
        """A host that wants to be left alone is passed over for the next, and is not ill for it."""
        health = self.downloads.health
        health.pause(f"{URL}", "", 30.0, self.clock.seconds())
        urls = [URL, "http://else.test/one.bin"]

        async def attempt(index: int, last: bool) -> IUpstreamResponse:
            return await self.library.ask(self.inquiry(urls[index]))

        asked = self.library.first(urls, attempt, lambda response: True)
        self.assertEqual([each.url for each in self.upstream.requests], urls[1:])
        self.upstream.answer(FakeResponse())
        self.successResultOf(asked)
        self.assertFalse(health.ill(URL, self.clock.seconds()))

    def test_silent(self) -> None:
        """What is asked by GET is sent again when nothing answers, all else is not."""
        self.library.ask(self.inquiry())
        self.library.ask(self.inquiry(method="POST"))
        self.clock.advance(5)
        self.assertEqual([each.method for each in self.upstream.requests], ["GET", "POST", "GET"])


class BehindTests(DownloadCase):
    """A second library stands behind the first."""

    def setUp(self) -> None:
        super().setUp()
        self.behind = FakeLibrary(self.clock)
        self.library = Library(self.make_tools(), self.downloads, self.behind)

    def test_has_the_bytes(self) -> None:
        """What only the library behind has is there, for those who look and those who fetch."""
        entry = self.behind.store(Entry(key=URL), CONTENT)
        self.assertEqual(self.library.at(URL).entries, (entry,))
        body = self.library.body(entry)
        assert body is not None
        self.assertEqual(body.data(), CONTENT)
        outcome = self.successResultOf(self.library.fetch(self.wanted()))
        self.assertEqual((Reading(outcome).data, self.upstream.requests), (CONTENT, []))
        self.assertEqual(self.successResultOf(self.library.head(self.wanted())).entry, entry)

    def test_lacks_them(self) -> None:
        """What the library behind has not is fetched as without it."""
        fetching = self.library.fetch(self.wanted(rule=self.rule(strategy=Strategy.PROXY)))
        response = self.upstream.answer(whole(CONTENT))
        self.assertIsInstance(self.successResultOf(fetching), Arriving)
        response.flow(CONTENT)
        response.end()
        self.assertEqual(self.library.at(URL).entries[0].blob, sha256(CONTENT).hex)

    def test_away(self) -> None:
        """A library behind that fails is left out."""
        self.behind.trouble = Reason.CONNECT
        fetching = self.library.fetch(self.wanted(rule=self.rule(strategy=Strategy.PROXY)))
        self.upstream.answer(whole(CONTENT))
        self.assertIsInstance(self.successResultOf(fetching), Arriving)
