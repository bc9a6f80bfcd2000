"""The proof of a download: its digests follow the frontier and are compared at the end."""

from __future__ import annotations

from attrs import define

from aimirror.download.commands import Command, Complete, Hash, Restart
from aimirror.download.tasks import Reason

#: Bytes held back from readers until an expected digest has matched.
HOLDBACK = 64 << 10
#: Bytes of frontier between two digest requests.
HASH_STEP = 8 << 20


def waits_for_proof(start: int, stop: int | None, total: int) -> bool:
    """Whether a reader of ``[start, stop)`` gets the last bytes only once the digest is right.

    It does if it has the whole file then, or may have: who reads from the start, and who reads
    more than a half without naming the end, which may be the rest of a download that broke off.
    Who looks at the end of an archive does not wait for all that is before it.
    """
    return start < HOLDBACK or (stop is None and (total - start) * 2 > total)


@define
class Proof:
    """What is hashed so far; one request is under way at a time, each goes on from the last."""

    total: int
    #: (algorithm, hex) when the right digest is known.
    expected: tuple[str, str] | None = None
    _asked: bool = False
    _reached: int = 0

    @property
    def limit(self) -> int:
        """Bytes from here on are held back until the digest has spoken."""
        return self.total if self.expected is None else max(0, self.total - HOLDBACK)

    def follow(self, frontier: int) -> list[Command]:
        """Let the digests follow the frontier in big steps, and to the end once all is written."""
        if self._asked:
            return []
        if frontier >= self.total or frontier - self._reached >= HASH_STEP:
            self._asked = True
            return [Hash(frontier)]
        return []

    def hashed(self, stop: int) -> None:
        """The digests of ``[0, stop)`` are there."""
        self._asked, self._reached = False, stop

    def conclude(self, digests: dict[str, str]) -> list[Command]:
        """What the digests of the whole file mean."""
        if self.expected is not None:
            algorithm, right = self.expected
            if algorithm not in digests:  # it became known while others were computed
                return self.follow(self.total)
            if digests[algorithm] != right:
                detail = f"{algorithm} is {digests[algorithm]}, expected {right}"
                return [Restart(Reason.CHANGED, detail, quarantine=True)]
        return [Complete(tuple(sorted(digests.items())))]
