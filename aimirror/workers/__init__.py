"""The processes that fetch byte ranges, and how they are spoken to.

``pool`` is the parent's half: it spawns workers, hands them *tasks*, and takes those of a dead one
back.  ``worker`` is the child: it fetches a piece and writes it into the part file.  ``wire`` is
what both know: the AMP commands on a socketpair.
"""
