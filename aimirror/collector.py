"""How often Python's collector of cyclic garbage looks."""

from __future__ import annotations

import gc

#: New objects before it looks at them (700 by default, which is a request and a half), and how
#: often the older ones are looked at with them.
THRESHOLDS = (20_000, 20, 50)


def collect_rarely() -> None:
    """Leave alone what is there by now, and look at what is new less often.

    To be called once, when a process has imported and built what it keeps.  Nearly all of a
    request goes when its last user does; what is left for the collector is small.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
