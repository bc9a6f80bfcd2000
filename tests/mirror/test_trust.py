"""Any requests of any clients, and any answers: private stays private, and nobody colours others.

A whole mirror in memory, with its store, exchanges and memo, before upstreams that mean well and
say whatever real ones say.  Each step is one client's; what comes back is looked at to the byte.
"""

from __future__ import annotations

from itertools import product

from attrs import frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aimirror.http.egress import Outgoing
from aimirror.http.headers import Headers
from aimirror.interfaces import Hop
from aimirror.routing.choices import Credentials, Strategy
from aimirror.routing.policies import CachePolicy
from tests.mirror.support import UPSTREAM, MirrorCase, Played, refused

SECOND = "https://second.test"
ELSEWHERE = "https://elsewhere.test"
#: Who asks; "" has no login.
USERS = ("", "alice", "bob")
CREDENTIALS = ("Authorization", "Cookie", "X-Api-Key", "Private-Token", "X-Odd-Login")
#: Fields that a client may send, each with a mark of its own.
MARKED = (
    *("X-Original-URL", "X_Forwarded_Host", "X-Forwarded-Host", "X-HTTP-Host-Override", "Origin"),
    *("X-JFrog-Override-Base-Url", "Referer", "Accept-Language", "X-Thing", "Forwarded", "Via"),
    *("pacote-integrity", "x-expected-sha256", "Want-Digest", "Prefer", "Accept-Charset", "From"),
    *("User-Agent", "Accept"),
)
WISHES = (
    "Cache-Control: no-cache",
    "Cache-Control: max-age=0",
    "Cache-Control: no-store",
    "Cache-Control: max-stale",
    "Pragma: no-cache",
    "Range: bytes=0-3",
    'If-None-Match: "v"',
    "X-Chosen: one",
    "X-Chosen: two",
)
#: What an upstream says of what it gives to one client: never public.
SAID = (
    "",
    "max-age=600",
    "no-cache",
    "no-store",
    "private",
    "must-revalidate, max-age=0",
    "no-cache, no-store, must-revalidate",
    "s-maxage=600",
    "max-age=600, must-revalidate, proxy-revalidate",
    "immutable, max-age=600",
)


@frozen
class Step:
    """One request, and what is the matter with the upstreams then."""

    user: str
    path: str
    method: str
    marked: tuple[str, ...]
    wishes: tuple[str, ...]
    later: int
    down: bool


@frozen
class World:
    """How the first upstream behaves."""

    said: str
    etag: str
    dated: bool
    varies: str
    cookies: bool
    #: What strangers get of what is private: a status, or where they are led.
    refusal: str
    #: Whether each user gets a page of its own, or Alice alone gets anything.
    own_pages: bool
    #: What the second upstream says to conditions.
    second: int
    credential: str


STEPS = st.lists(
    st.builds(
        Step,
        user=st.sampled_from(USERS),
        path=st.sampled_from(("/private", "/private", "/private", "/open")),
        method=st.sampled_from(("GET", "GET", "GET", "HEAD", "POST")),
        marked=st.lists(st.sampled_from(MARKED), max_size=4, unique=True).map(tuple),
        wishes=st.lists(st.sampled_from(WISHES), max_size=1, unique=True).map(tuple),
        later=st.sampled_from((0, 0, 0, 0, 1, 61, 700)),
        down=st.sampled_from((*[False] * 7, True)),
    ),
    min_size=4,
    max_size=12,
)
WORLDS = st.builds(
    World,
    said=st.sampled_from(SAID),
    etag=st.sampled_from(("", '"', 'W/"')),
    dated=st.booleans(),
    varies=st.sampled_from(("", "", "", "Accept", "Authorization", "*")),
    cookies=st.sampled_from((False, False, False, True)),
    refusal=st.sampled_from(("401", "403", "404", "302", "led", "login")),
    own_pages=st.booleans(),
    second=st.sampled_from((304, 200, 404, 500)),
    credential=st.sampled_from(CREDENTIALS),
)
RULES = st.fixed_dictionaries(
    {
        "strategy": st.sampled_from(tuple(Strategy)),
        "immutable": st.booleans(),
        "public": st.booleans(),
        "credentials": st.sampled_from((*[Credentials.FIRST] * 7, Credentials.NONE)),
        "upstreams": st.sampled_from(((UPSTREAM,), (UPSTREAM, SECOND))),
        "cache": st.builds(
            CachePolicy,
            ttl=st.sampled_from((None, 600.0)),
            ignore_upstream=st.booleans(),
            ignore_no_store=st.booleans(),
            obey_clients=st.sampled_from((None, True, False)),
            private_grace=st.sampled_from((0.0, 3600.0)),
        ),
    }
)


#: Who asks, how much later, and whether the first upstream is down then.
EVENTS = (
    ("alice", 0, False),
    ("bob", 0, False),
    ("", 0, False),
    ("bob", 61, True),
    ("", 0, True),
    ("alice", 0, True),
    ("bob", 121, False),
)


class TrustTests(MirrorCase):
    world: World
    example = 0

    @settings(
        max_examples=120,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
    )
    @given(STEPS, WORLDS, RULES)
    def test_any(self, steps: list[Step], world: World, rule: dict[str, object]) -> None:
        """No private byte of one client's reaches another, and no field of its request either."""
        self.example += 1
        self.world = world
        self.use(request_headers=("X-Chosen",), credential_headers=("X-Odd-Login",), **rule)
        for number, step in enumerate(steps):
            self.clock.advance(step.later)
            self.upstream.handler = self.down if step.down else self.upstreams
            self.take(f"{self.example}-{number}", step)

    def test_each_answer(self) -> None:
        """The same for each thing that an upstream may say, in the usual order of events."""
        lifted = CachePolicy(ttl=600.0, ignore_upstream=True, ignore_no_store=True)
        both = (UPSTREAM, SECOND)
        rules = ({}, {"cache": lifted, "immutable": True}, {"upstreams": both, "cache": lifted})
        for said, etag, dated, own in product(SAID, ("", '"'), (False, True), (False, True)):
            self.world = World(said, etag, dated, "", False, "404", own, 304, "Authorization")
            for rule in rules:
                self.example += 1
                self.use(**rule)
                for number, (user, later, down) in enumerate(EVENTS):
                    step = Step(user, "/private", "GET", ("X-Thing",), (), later, down)
                    self.clock.advance(step.later)
                    self.upstream.handler = self.down if step.down else self.upstreams
                    self.take(f"{self.example}-{number}", step)

    def take(self, number: str, step: Step) -> None:
        """One client's step; its marks begin with its number, a user's with the user's name."""
        mark = f"mark-{step.user or 'nobody'}-{number}-"
        fields = [f"{name}: {mark}{name}" for name in step.marked]
        if step.user:
            fields.append(f"{self.world.credential}: secret-{step.user}")
        path = f"/{self.example}{step.path}"
        received = self.ask(path, *fields, *step.wishes, method=step.method).received
        text = received.decode("latin-1")
        others = [user for user in USERS if user and user != step.user]
        for other in others:
            self.assertNotIn(f"page-of-{other}", text, (step, self.world))
            self.assertNotIn(f"secret-{other}", text, (step, self.world))
            self.assertNotIn(f"mark-{other}", text, (step, self.world))
        strangers = text.replace(mark, "") if not step.user else text
        self.assertNotIn("mark-nobody", strangers, (step, self.world))

    # -- upstreams -----------------------------------------------------------------------------

    def down(self, outgoing: Outgoing) -> Played | Exception:
        """The first one can't be reached."""
        return refused() if outgoing.url.startswith(UPSTREAM) else self.upstreams(outgoing)

    def upstreams(self, outgoing: Outgoing) -> Played | Exception:
        """What is said to a request, which is repeated in the page to the letter."""
        told = "\n".join(f"{name}: {value}" for name, value in outgoing.headers)
        if outgoing.url.startswith(SECOND):
            self.assertNotIn("secret-", told, "a login at another host")
            return self.of_second(outgoing)
        user = next((u for u in USERS[1:] if f"secret-{u}" in told), "")
        if outgoing.url.endswith("/open"):
            return self.page(outgoing, "page-for-all\n" + self.repeated(outgoing), '"open"')
        if user == "alice" or (user and self.world.own_pages):
            page = f"page-of-{user}\n{self.repeated(outgoing)}"
            return self.page(outgoing, page, f'"of-{user}"')
        return self.refusal(outgoing)

    def repeated(self, outgoing: Outgoing) -> str:
        """What an upstream repeats of a request; its credential is no news to its owner."""
        kept = outgoing.headers.without(*map(str.lower, CREDENTIALS))
        return "\n".join(f"{name}: {value}" for name, value in kept)

    def page(self, outgoing: Outgoing, text: str, etag: str) -> Played:
        world, fields = self.world, []
        if world.said:
            fields.append(f"Cache-Control: {world.said}")
        if world.etag:
            etag = world.etag.replace('"', "") + etag
            fields.append(f"ETag: {etag}")
        if world.dated:
            fields.append("Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT")
        if world.varies:
            fields.append(f"Vary: {world.varies}")
        if world.cookies:
            fields.append(f"Set-Cookie: {text.split()[0]}")
        asked = outgoing.headers.joined("if-none-match")
        same = world.etag and asked is not None and etag.removeprefix("W/") in asked
        dated = world.dated and asked is None and "if-modified-since" in outgoing.headers
        if outgoing.method in ("GET", "HEAD") and (same or dated):
            return Played(304, *fields)
        return Played(200, *fields, body=b"" if outgoing.method == "HEAD" else text.encode())

    def refusal(self, outgoing: Outgoing) -> Played:
        """What those get who have no right."""
        fresh = "Cache-Control: max-age=600"
        if self.world.refusal == "login":
            return Played(200, fresh, body=b"log in here")
        if self.world.refusal != "led":
            status = int(self.world.refusal)
            return Played(status, fresh, f"Location: {ELSEWHERE}/login", body=b"no")
        condition = "if-none-match" in outgoing.headers
        played = Played(304 if condition else 200, fresh, body=b"" if condition else b"namesake")
        played.url = f"{ELSEWHERE}/namesake"
        played.hops = (Hop(302, outgoing.url, Headers([("Cache-Control", "max-age=600")])),)
        return played

    def of_second(self, outgoing: Outgoing) -> Played:
        conditional = {"if-none-match", "if-modified-since"}
        if self.world.second == 304 and not outgoing.headers.has_any(frozenset(conditional)):
            return Played(404, body=b"none")
        return Played(self.world.second, "Cache-Control: max-age=600", body=b"of the second")
