"""What the cache knows of one stored response."""

from __future__ import annotations

from attrs import frozen

from aimirror.http.headers import Headers


@frozen(kw_only=True)
class Entry:
    """One stored response: its metadata; the body is a blob named by its sha256.

    An entry is identified by ``(key, scope, variant)``: the upstream URL, who may read it, and
    the values of the request fields that ``Vary`` names.
    """

    #: The upstream URL (raw path and query, no fragment) the response belongs to.
    key: str
    #: "" when anyone may read it, else a hash of the credential that fetched it.
    scope: str = ""
    #: A canonical string of the selecting request fields; "" without Vary.
    variant: str = ""
    status: int = 200
    #: Response fields, end to end ones only, as received (updated by 304s).
    headers: Headers = Headers()
    #: The request's fields that Vary names, as sent (for matching, RFC 9111 section 4.1).
    selecting: Headers = Headers()
    #: Epoch seconds: when the request was sent and when its header was received.
    requested_at: float = 0.0
    received_at: float = 0.0
    #: Epoch seconds: when this body came; unlike ``received_at``, a 304 leaves it as it is.
    arrived_at: float = 0.0
    #: sha256 (hex) of the stored body; "" when the entry has none.
    blob: str = ""
    #: Bytes of the stored body.
    size: int = 0
    #: The rule that stored it (by name) and the final URL it was read from, without its query.
    rule: str = ""
    #: The origins of the upstream that was asked for it, and of where redirects from there ended:
    #: who has opened what is private may say that it still holds.  "" where nobody was asked.
    asked_of: str = ""
    led_to: str = ""
    #: Immutable: never asked again (content-addressed path or rule's word).
    immutable: bool = False
    #: Stale on purpose: an unsafe method or an admin invalidated it; must be revalidated.
    invalidated: bool = False
    #: Never evicted.
    pinned: bool = False
