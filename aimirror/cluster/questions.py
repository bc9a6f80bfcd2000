"""What one node asks another: a route and a request's fields, signed with the cluster's key.

A node that is asked answers by itself: its question to the upstream is no question to a third.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

from attrs import field, frozen

from aimirror.http.headers import Headers
from aimirror.http.json_text import parse_json
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Route, Rule
from aimirror.tier.keys import Keys

#: The field that has a question, and the one that has an entry.
QUESTION = "Aimirror-Question"
ENTRY = "Aimirror-Entry"
#: What a file hashes to, as ``algorithm=hex``.
DIGEST = "Aimirror-Digest"
#: The first segment of the path at which nodes ask each other.
NAME = "aimirror-peer"
#: Seconds by which the clocks of two nodes may differ.
SKEW = 120.0
#: Characters of a question; heads of requests have a bound.
LONGEST = 16 << 10


@frozen(kw_only=True)
class Question:
    """What a node wants of the one that owns it."""

    rule: str
    path: str
    urls: tuple[str, ...]
    key: str
    immutable: bool = False
    digest: Digest | None = None
    size: int | None = None
    exact: bool = False
    vary: tuple[str, ...] = ()
    headers: Headers = field(default=Headers(), repr=False)
    #: Epoch seconds: an answer that was received before that needs to be confirmed.
    not_before: float = 0.0
    #: The sha256 of the body that the asking node has, "" for none.
    have: str = ""
    #: Only what is stored is wanted, fresh or not, and whatever chose it.
    stored_only: bool = False
    #: Only what the indexes at hand say that the file hashes to.
    digest_only: bool = False

    def route(self, rule: Rule) -> Route:
        """The route, by the rule that this node has under the name."""
        return Route(
            rule=rule,
            path=self.path,
            urls=self.urls,
            key=self.key,
            immutable=self.immutable,
            digest=self.digest,
            size=self.size,
            exact=self.exact,
            vary=self.vary,
        )


def asked(
    route: Route,
    headers: Headers,
    not_before: float,
    have: str,
    *,
    stored_only: bool = False,
    digest_only: bool = False,
) -> Question:
    """The question for a route."""
    return Question(
        rule=route.rule.name,
        path=route.path,
        urls=route.urls,
        key=route.key,
        immutable=route.immutable,
        digest=route.digest,
        size=route.size,
        exact=route.exact,
        vary=route.vary,
        headers=headers,
        not_before=not_before,
        have=have,
        stored_only=stored_only,
        digest_only=digest_only,
    )


def packed(question: Question, keys: Keys, now: float) -> str:
    """A question as the value of a field; "" when it is too long for one."""
    digest = question.digest
    values = {
        "at": now,
        "rule": question.rule,
        "path": question.path,
        "urls": question.urls,
        "key": question.key,
        "immutable": question.immutable,
        "digest": [digest.algorithm, digest.hex] if digest else None,
        "size": question.size,
        "exact": question.exact,
        "vary": question.vary,
        "headers": question.headers.items,
        "not_before": question.not_before,
        "have": question.have,
        "stored_only": question.stored_only,
        "digest_only": question.digest_only,
    }
    said = urlsafe_b64encode(json.dumps(values, separators=(",", ":")).encode()).decode("ascii")
    text = f"{said}.{keys.sign(f'peer {said}')}"
    return text if len(text) <= LONGEST else ""


def unpacked(text: str, keys: Keys, now: float) -> Question | None:
    """The question in a field; None when none of us has asked it, or not just now."""
    said, _, mac = text.partition(".")
    if not keys.right(f"peer {said}", mac):
        return None
    values = parse_json(urlsafe_b64decode(said))
    if abs(values.pop("at") - now) > SKEW:
        return None
    digest = values.pop("digest")
    return Question(
        **{
            **values,
            "urls": tuple(values["urls"]),
            "vary": tuple(values["vary"]),
            "headers": Headers((n, v) for n, v in values["headers"]),
            "digest": Digest(*digest) if digest else None,
        }
    )
