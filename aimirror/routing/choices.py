"""The words that a rule chooses by, and its rewrites."""

from __future__ import annotations

import enum

from attrs import frozen


class Strategy(enum.Enum):
    """How a miss is filled: one plain stream, or ranges fetched side by side."""

    PROXY = "proxy"
    PARALLEL = "parallel"


class KeySource(enum.Enum):
    """Which URL names an entry: the one asked for, or the one that answered after redirects."""

    ORIGINAL = "original"
    FINAL = "final"


class Xet(enum.Enum):
    """Whether clients of the Hugging Face Hub are told of Xet."""

    STRIP = "strip"
    PASS = "pass"


class OnMissing(enum.Enum):
    """What several upstreams of a rule are to each other."""

    #: They serve the same files: the next one is asked where one can't answer.
    FAIL = "fail"
    #: They serve different ones: the next one is asked for what one says that it does not have.
    NEXT = "next"


class Credentials(enum.Enum):
    """Which of a rule's upstreams are given a client's credentials (``headers.CREDENTIALS``)."""

    #: The first, and those at the same origin: what a client knows is meant for it.
    FIRST = "first"
    ALL = "all"
    NONE = "none"


@frozen
class PathRewrite:
    """A literal replacement in the path, all occurrences."""

    search: str
    replace: str


@frozen(kw_only=True)
class ContentRewrite:
    """Whose links are rewritten to the mirror, and in which bodies."""

    #: Substrings of the Content-Type.
    content_types: tuple[str, ...] = (
        "text/html",
        "application/json",
        "+json",
        "application/vnd.pypi.simple",
    )
    #: Base URLs that clients shall reach through the mirror, beside the mounts of the rules.
    targets: tuple[str, ...] = ()
    #: JSON members whose values alone are links; without any, all but those to pages for people.
    members: tuple[str, ...] = ()

    def applies(self, content_type: str) -> bool:
        """Whether bodies of this Content-Type are rewritten."""
        lowered = content_type.lower()
        return any(wanted.lower() in lowered for wanted in self.content_types)
