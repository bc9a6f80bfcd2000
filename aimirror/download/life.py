"""The life of one ranged download, as one table.

::

    FILLING --WRITTEN--> PROVING --PROVED--> DONE
    FILLING, PROVING --REPLACED, DISPROVED--> RESTARTED
    FILLING, PROVING --LOST--> FAILED

The interpreter (``aimirror.exchanges``) sends the probe itself and creates the machine when the
probe's 206 has told size and validator.  ``RESTARTED`` ends this machine: the interpreter cuts
the readers off and begins anew, so that no reader ever sees bytes of two versions.
"""

from __future__ import annotations

import enum

from attrs import define


class Phase(enum.Enum):
    """Where a download stands."""

    FILLING = "filling"
    PROVING = "proving"
    DONE = "done"
    RESTARTED = "restarted"
    FAILED = "failed"


class Turn(enum.Enum):
    """What moves a download on."""

    WRITTEN = "every byte is written"
    PROVED = "the digest is right"
    DISPROVED = "the digest is wrong"
    REPLACED = "the upstream has another version"
    LOST = "there is no way on"


#: Every change of phase that there is.
TABLE = {
    (Phase.FILLING, Turn.WRITTEN): Phase.PROVING,
    (Phase.FILLING, Turn.REPLACED): Phase.RESTARTED,
    (Phase.FILLING, Turn.LOST): Phase.FAILED,
    (Phase.PROVING, Turn.PROVED): Phase.DONE,
    (Phase.PROVING, Turn.DISPROVED): Phase.RESTARTED,
    (Phase.PROVING, Turn.LOST): Phase.FAILED,
}


@define
class Life:
    """The phase, which only ``take`` changes."""

    _phase: Phase = Phase.FILLING

    @property
    def phase(self) -> Phase:
        """Where it stands."""
        return self._phase

    @property
    def over(self) -> bool:
        """Whether nothing will happen any more."""
        return not any(phase is self._phase for phase, _ in TABLE)

    def take(self, turn: Turn) -> bool:
        """Move on; False, and nothing changes, where the table has no such way."""
        then = TABLE.get((self._phase, turn))
        if then is None:
            return False
        self._phase = then
        return True
