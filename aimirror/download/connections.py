"""How many connections one download may open: decided here, and nowhere else.

Three have a say: the share that the other downloads leave it (``aimirror.exchanges.sharing``),
whether more connections bring more (``economy``), and what its sources bear (``sources``).
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import Factory, define

from aimirror.download.economy import Economy
from aimirror.download.sources import Source


@define
class Allowance:
    """The connections of one download; ``share`` is how many the others leave it now."""

    share: int
    economy: Economy = Factory(Economy)
    #: Whether others want some of those that it could use.
    scarce: bool = False

    @property
    def most(self) -> int:
        """Connections to have now."""
        return self.economy.slots(self.share)

    def usable(self, sources: Iterable[Source]) -> int:
        """Of these, those that the sources bear together; at least one."""
        most = self.most
        borne = sum(int(s.borne) if s.borne else most for s in sources if s.alive)
        return max(1, min(most, borne))

    def observe(self, now: float, rate: float, busy: int, missing: int) -> None:
        """Learn from the total rate (bytes/s) of ``busy`` connections, ``missing`` bytes left."""
        steady = busy >= self.most
        self.economy.observe(now, rate, busy if steady else 0, missing, self.share)


#: Bytes for which one more connection is worth its request.
WORTH_A_CONNECTION = 256 << 10


def useful(left: int, most: int) -> int:
    """How many connections a file of which ``left`` bytes are missing can use, of ``most``."""
    return max(1, min(most, -(-left // WORTH_A_CONNECTION)))
