"""The cluster's keys: what its nodes sign for each other."""

from __future__ import annotations

import hmac

from attrs import define, field

#: Characters of a key: less can be guessed.
SHORTEST_KEY = 32
#: Keys that hold at one time: the one that signs, and its predecessor or successor.
MOST_KEYS = 2


class BadKeys(ValueError):
    """The keys of a cluster can't be used; the text says why and quotes none."""


@define
class Keys:
    """The first key signs, each is good for checking: so one can take the other's place.

    All who sign share this object: a reload changes ``secrets`` for all of them.
    """

    secrets: tuple[str, ...] = field(repr=False)

    @classmethod
    def read(cls, text: str) -> Keys:
        """One key a line, the newest first; raises BadKeys."""
        lines = tuple(filter(None, (line.strip() for line in text.splitlines())))
        if not lines:
            raise BadKeys("there is no key")
        if len(lines) > MOST_KEYS:
            raise BadKeys(f"{len(lines)} keys, at most {MOST_KEYS} hold at one time")
        if any(len(line) < SHORTEST_KEY for line in lines):
            raise BadKeys(f"a key has fewer than {SHORTEST_KEY} characters")
        return cls(lines)

    def sign(self, text: str) -> str:
        """The mark (hex) by which others know that one of us has written this."""
        return _mac(self.secrets[0], text)

    def right(self, text: str, mac: str) -> bool:
        """Whether a mark is of one of our keys."""
        given = mac.encode("utf-8", "replace")
        return any(hmac.compare_digest(_mac(s, text).encode(), given) for s in self.secrets)


def _mac(secret: str, text: str) -> str:
    return hmac.new(secret.encode(), text.encode("utf-8", "surrogatepass"), "sha256").hexdigest()
