"""Files that gave trouble lately, and what that means for the next request."""

from __future__ import annotations

from aimirror.bounded import LRU
from aimirror.download.tasks import Reason
from aimirror.exchanges.environment import Finished
from aimirror.exchanges.recent import Recent

#: Files remembered for each kind of trouble.
MOST_TROUBLES = 1000
#: Seconds for which a file that twice did not hash to its digest is refused, four times as long
#: with each further time up to the longest; and for which that is remembered.
REFUSED_FOR = 2.0
REFUSED_LONGEST = 120.0
MISMATCHED_FOR = 300.0
#: Seconds for which a file that has changed midway is not begun anew by itself again.
RESTARTED_FOR = 30.0
#: Hosts whose nodes have tags of their own, and seconds for which that is believed of one.
MOST_UNLIKE = 1000
UNLIKE_FOR = 3600.0
#: Seconds for which the links of a host are believed to work once: each time that it is tried
#: anew may cost a file.  Hosts known to repeat.
ONCE_FOR = 86400.0
MOST_REPEATING = 4096
#: Seconds for which a file that found the disk full is passed through without being stored.
UNSTORED_FOR = 600.0


class Troubles:
    """What is known of cache keys; ``now`` is in seconds."""

    def __init__(self) -> None:
        self._mismatched = Recent(MOST_TROUBLES, MISMATCHED_FOR)
        self._unlike = Recent(MOST_UNLIKE, UNLIKE_FOR)
        self._once = Recent(MOST_UNLIKE, ONCE_FOR)
        self._repeating: LRU[str, bool] = LRU(MOST_REPEATING)
        self._changed = Recent(MOST_TROUBLES, RESTARTED_FOR)
        self._no_room = Recent(MOST_TROUBLES, UNSTORED_FOR)

    def unlike(self, host: str, now: float) -> None:
        """A host's nodes name the same file by different ETags."""
        self._unlike.note(host, now)

    def one_connection(self, host: str, now: float) -> bool:
        """Whether a file of a host is better had by one connection, where no digest is known."""
        return self._unlike.count(host, now) > 0

    def repeats(self, host: str, well: bool, now: float) -> None:
        """A second request for a link of a host was accepted, or refused."""
        if well:
            self._once.forget(host)
            self._repeating.put(host, True)
        elif self._repeating.pop(host) is None:  # else it is doubted, and believed the next time
            self._once.note(host, now)

    def once(self, host: str, now: float) -> bool:
        """Whether links of a host work for one request."""
        return self._once.count(host, now) > 0

    def repeating(self, host: str) -> bool:
        """Whether a host is known to answer as often as it is asked."""
        return self._repeating.get(host) is not None

    def stored(self, key: str) -> None:
        """All is well."""
        self._mismatched.forget(key)
        self._changed.forget(key)

    def note(self, key: str, finished: Finished, now: float) -> bool:
        """A download has failed: whether it is to be begun anew, though nobody asks.

        Once, that is so for bad bytes and for another version midway.
        """
        if finished.mismatch:
            return self._mismatched.note(key, now) == 1
        if finished.reason is Reason.CHANGED:
            return self._changed.note(key, now) == 1
        if finished.reason is Reason.DISK_FULL:
            self._no_room.note(key, now)
        return False

    def refused(self, key: str, now: float) -> bool:
        """Whether the file was twice not what it should be."""
        further = self._mismatched.count(key, now) - 2
        if further < 0:
            return False
        refused_for = min(REFUSED_LONGEST, REFUSED_FOR * 4.0 ** min(further, 10))
        return now - self._mismatched.last(key) < refused_for

    def suspicious(self, key: str, now: float) -> bool:
        """Whether it was so once: one upstream alone is asked then."""
        return self._mismatched.count(key, now) > 0

    def storable(self, key: str, now: float) -> bool:
        """Whether there is any use in trying to store it."""
        return self._no_room.count(key, now) == 0
