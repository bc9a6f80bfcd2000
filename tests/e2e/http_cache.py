"""Plays the cases of ``http_cache_cases``: an origin that answers by them, and their clients.

Both sides speak HTTP/1.1 by themselves, so that interim answers and wrong fields can be sent and
seen; all cases run side by side, for most of their time is waiting for something to become stale.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from email.utils import formatdate
from http import HTTPStatus

from attrs import define, field, frozen

from aimirror.http.headers import Headers
from tests.e2e.http_cache_cases import ASKED, BY_DATE, BY_ETAG, STORED, Case, Step

#: Seconds in which an answer with max-age=2 becomes stale.
REST = 3.1
#: Seconds for one answer.
LIMIT = 20.0
#: Cases at one time: most of them wait for seconds to pass.
SIDE_BY_SIDE = 90
#: Seconds that a busy machine may add to an Age.
SLOW = 5
#: Headers that may differ on their way.
_UNCHECKED = frozenset({"date"})
_BODILESS = (204, 304)


class Failed(Exception):
    """A step did not go as it should."""


@frozen
class Seen:
    """A request at the origin, and the fields that it was answered with and that must arrive."""

    number: int
    method: str
    headers: Headers
    promised: Headers


@define
class Play:
    """One case under way."""

    case: Case
    #: The step, from 1, that its client is at: what a request says of it does not go upstream.
    at: int = 0
    seen: list[Seen] = field(factory=list)
    #: The fields of each step's answer with their dates, once it was made.
    made: dict[int, Headers] = field(factory=dict)


@frozen
class Reply:
    status: int
    headers: Headers
    body: bytes
    interim: tuple[tuple[int, Headers], ...] = ()


def _pairs(fields: Iterable[str], now: float, base: str) -> list[tuple[str, str, bool]]:
    """Name, value and whether it must arrive, with dates and places filled in."""
    found = []
    for text in fields:
        name, _, value = text.removeprefix("~").partition(":")
        value = value.removeprefix(" ")
        if value.startswith("@"):
            value = formatdate(int(now) + int(value[1:]), usegmt=True)
        elif value.startswith("^"):
            value = base + value[1:]
        found.append((name, value, not text.startswith("~")))
    return found


async def _message(reader: asyncio.StreamReader) -> tuple[str, Headers] | None:
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *rest = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    pairs = (line.partition(":") for line in rest)
    return first, Headers((name, value.strip(" \t")) for name, _, value in pairs)


async def _chunked(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


async def _body(reader: asyncio.StreamReader, headers: Headers, until_close: bool) -> bytes:
    if "chunked" in headers.tokens("transfer-encoding"):
        return await _chunked(reader)
    length = headers.get("content-length")
    if length is not None:
        return await reader.readexactly(int(length))
    return await reader.read() if until_close else b""


class Origin:
    """Answers ``/name/...`` by the step that its client is at."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self.plays = {case.name: Play(case) for case in cases}
        self._connections: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """End the connections that are open."""
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (message := await _message(reader)) is not None:
                await _body(reader, message[1], until_close=False)
                if not await self._answer(*message, writer):
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, line: str, headers: Headers, writer: asyncio.StreamWriter) -> bool:
        method, target, _ = line.split(" ")
        play = self.plays[target.partition("?")[0].split("/")[1]]
        number = play.at
        step = play.case.steps[number - 1]
        await asyncio.sleep(step.delay)
        now = time.time()
        for status, fields in step.interim:
            lines = [f"HTTP/1.1 {status} Interim", *fields]
            writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
            await writer.drain()
            await asyncio.sleep(0.05)
        status = self._status(play, number, step, headers)
        pairs = _pairs(step.fields, now, target.partition("?")[0])
        play.made[number] = Headers((name, value) for name, value, _ in pairs)
        kept = Headers((name, value) for name, value, arrives in pairs if arrives)
        play.seen.append(Seen(number, method, headers, kept))
        if step.cut:
            return False
        content = b"" if status in _BODILESS else _text(step, play.case).encode()
        made = self._fields(play, pairs, target, number, now)
        if status not in _BODILESS and not made.has_any(_FRAMING):
            made = made.with_("Content-Length", str(len(content)))
        head = "\r\n".join(
            [f"HTTP/1.1 {status} {_phrase(status)}", *(f"{n}: {v}" for n, v in made), "", ""]
        )
        writer.write(head.encode("latin-1") + (b"" if method == "HEAD" else content))
        await writer.drain()
        odd = made.get("content-length", str(len(content))) != str(len(content))
        return not (odd or "transfer-encoding" in made)

    def _status(self, play: Play, number: int, step: Step, request: Headers) -> int:
        """What the step says; where a condition is expected: 304 to a right one, else 999."""
        if step.expect not in (BY_ETAG, BY_DATE):
            return step.status
        earlier = play.case.steps[number - 2]
        told = Headers((n, v) for n, v, _ in _pairs(earlier.fields, 0, ""))
        before = play.made.get(number - 1, told)
        for asked, validator in (("if-modified-since", "last-modified"), ("if-none-match", "etag")):
            value = before.get(validator)
            if value and request.get(asked) == value:
                return 304
        return 999

    def _fields(
        self,
        play: Play,
        pairs: Iterable[tuple[str, str, bool]],
        target: str,
        number: int,
        now: float,
    ) -> Headers:
        numbers = " ".join(str(seen.number) for seen in play.seen)
        made = [
            ("Server-Base-Url", target),
            ("Server-Request-Count", str(len(play.seen))),
            ("Client-Request-Count", str(number)),
            ("Server-Now", str(now)),
            *((name, value) for name, value, _ in pairs),
            ("Request-Numbers", numbers),
        ]
        found = Headers(made)
        for name, value in (
            ("Content-Type", "text/plain"),
            ("Date", formatdate(now, usegmt=True)),
        ):
            if name not in found:
                found = found.with_(name, value)
        return found


_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_FRAMING = frozenset({"content-length", "transfer-encoding"})


def _phrase(status: int) -> str:
    return _PHRASES.get(status, "Whatever")


def _text(step: Step, case: Case) -> str:
    return case.name if step.text is None else step.text


class Client:
    """The one client of one case."""

    def __init__(self, port: int, play: Play) -> None:
        self._port = port
        self._play = play
        self._replies: list[Reply] = []

    async def play(self) -> None:
        """All steps; raises Failed, or what a broken connection raises."""
        for number, step in enumerate(self._play.case.steps, 1):
            self._play.at = number
            reply = await asyncio.wait_for(self._ask(number, step), LIMIT)
            self._replies.append(reply)
            self._check(number, step, reply)
            if step.rest:
                await asyncio.sleep(REST)
        self._check_origin()

    async def _ask(self, number: int, step: Step) -> Reply:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(self._request(step))
            interim: list[tuple[int, Headers]] = []
            while True:
                message = await _message(reader)
                if message is None:
                    raise Failed(f"{number}: no answer")
                status = int(message[0].split(" ")[1])
                if status >= 200:
                    break
                interim.append((status, message[1]))
            empty = step.method == "HEAD" or status in _BODILESS
            body = b"" if empty else await _body(reader, message[1], until_close=True)
            return Reply(status, message[1], body, tuple(interim))
        finally:
            writer.close()

    def _request(self, step: Step) -> bytes:
        now = time.time()
        if self._replies:
            now = float(self._replies[-1].headers.get("server-now") or now)
        fields = [
            ("Host", f"127.0.0.1:{self._port}"),
            ("Accept", "*/*"),
            ("Accept-Encoding", "gzip, deflate"),
            ("Pragma", "foo"),
            ("Cache-Control", "nothing-to-see-here"),
            *((name, value) for name, value, _ in _pairs(step.ask, now, "")),
            ("Test-ID", self._play.case.name),
            ("Connection", "close"),
        ]
        if step.sends:
            fields.append(("Content-Length", str(len(step.sends))))
        line = f"{step.method} /{self._play.case.name}{step.target} HTTP/1.1"
        head = "\r\n".join([line, *(f"{n}: {v}" for n, v in fields), "", step.sends])
        return head.encode("latin-1")

    def _check(self, number: int, step: Step, reply: Reply) -> None:
        count = reply.headers.get("server-request-count")
        made = int(count) if count and count.isdecimal() else None
        _demand(not _repeated(reply.headers), f"{number}: asked twice")
        if step.expect == STORED and not (reply.status == 304 and made is None):
            _demand(made is not None and made < number, f"{number}: not from the store")
        if step.expect == ASKED:
            _demand(made == number, f"{number}: from the store")
        wanted = step.status if step.sees is None else step.sees
        _demand(wanted in (0, reply.status), f"{number}: {reply.status}, not {wanted}")
        self._check_fields(number, step, reply)
        for (status, fields), sent in zip(reply.interim, step.interim, strict=False):
            _demand(status == sent[0], f"{number}: interim {status}")
            for name, value, _ in _pairs(sent[1], 0, ""):
                _demand(fields.get(name) == value, f"{number}: interim without {name}")
        _demand(len(reply.interim) == len(step.interim), f"{number}: {len(reply.interim)} interim")
        if step.any_body or reply.status in _BODILESS or step.method == "HEAD":
            return
        text = _text(step, self._play.case) if step.reads is None else step.reads
        _demand(reply.body == text.encode(), f"{number}: body {reply.body[:60]!r}, not {text!r}")

    def _check_fields(self, number: int, step: Step, reply: Reply) -> None:
        now = float(reply.headers.get("server-now") or 0)
        base = (reply.headers.get("server-base-url") or "").partition("?")[0]
        for wanted in step.has:
            name, more, least = wanted.partition(" > ")
            if more:
                value = reply.headers.get(name, "") or ""
                _demand(value.isdecimal() and int(value) > int(least), f"{number}: {name} {value}")
            elif ":" not in wanted:
                _demand(wanted in reply.headers, f"{number}: no {wanted}")
            else:
                ((name, value, _),) = _pairs((wanted,), now, base)
                got = reply.headers.joined(name)
                _demand(got == value, f"{number}: {name} is {got!r}, not {value!r}")
        for unwanted in step.lacks:
            name, _, value = unwanted.partition(": ")
            got = reply.headers.joined(name)
            bad = got is not None and (not value or value in got)
            _demand(not bad, f"{number}: {name} is there")

    def _check_origin(self) -> None:
        """What the origin saw, and whether what it sent has arrived."""
        seen = iter(self._play.seen)
        for number, step in enumerate(self._play.case.steps, 1):
            if step.expect == STORED:
                continue
            found = next(seen, None)
            if step.expect:
                _demand(found is not None, f"{number}: the origin was not asked")
            if found is None:
                _demand(not step.gets and not step.gets_method, f"{number}: nothing was asked")
                continue
            if step.expect == ASKED:
                _demand(found.number == number, f"{number}: from the store")
            self._check_request(number, step, found)
            if not step.cut:
                self._check_arrived(number, found)

    def _check_request(self, number: int, step: Step, found: Seen) -> None:
        names = {BY_ETAG: "if-none-match", BY_DATE: "if-modified-since"}
        if step.expect in names:
            name = names[step.expect]
            _demand(name in found.headers, f"{number}: asked without {name}")
        for name, value, _ in _pairs(step.gets, 0, ""):
            got = found.headers.joined(name)
            _demand(got == value, f"{number}: the origin got {name} {got!r}, not {value!r}")
        if step.gets_method:
            _demand(found.method == step.gets_method, f"{number}: asked by {found.method}")

    def _check_arrived(self, number: int, found: Seen) -> None:
        reply = self._replies[number - 1].headers
        for name, _ in found.promised:
            if name.lower() not in _UNCHECKED:
                sent, got = found.promised.joined(name), reply.joined(name)
                if name.lower() == "vary":  # behind it are the fields that the rule names
                    got = (got or "")[: len(sent or "")]
                same = _as_old(sent, got) if name.lower() == "age" else got == sent
                _demand(same, f"{number}: {name} arrived as {got!r}, not {sent!r}")


def _demand(holds: bool, why: str) -> None:
    if not holds:
        raise Failed(why)


def _as_old(sent: str | None, got: str | None) -> bool:
    """Whether an Age is what was sent, and the seconds that a busy machine may take."""
    numbers = [text for text in (sent, got) if text is not None and text.isdecimal()]
    if len(numbers) < 2:
        return sent == got
    return 0 <= int(numbers[1]) - int(numbers[0]) <= SLOW


def _repeated(headers: Headers) -> bool:
    numbers = (headers.get("request-numbers") or "").split()
    return len(numbers) != len(set(numbers))


async def _one(port: int, play: Play, places: asyncio.Semaphore) -> str:
    async with places:
        try:
            await Client(port, play).play()
        except (Failed, OSError, ValueError, TimeoutError, asyncio.IncompleteReadError) as error:
            return f"{type(error).__name__}: {error}"
    return ""


async def run(origin: Origin, port: int) -> dict[str, str]:
    """Play all cases against the cache at ``port``; why each has failed, "" where it passed."""
    places = asyncio.Semaphore(SIDE_BY_SIDE)
    plays = list(origin.plays.values())
    told = await asyncio.gather(*(_one(port, play, places) for play in plays))
    results = {play.case.name: why for play, why in zip(plays, told, strict=True)}
    for play in plays:
        missing = [need for need in play.case.needs if results.get(need)]
        if missing and not results[play.case.name]:
            results[play.case.name] = f"needs {missing[0]}"
    return results
