"""Sets of status codes that mean one thing to several rooms."""

#: What servers answer that do not know HEAD.
NO_HEAD = frozenset({405, 501})
