"""The machine of one ranged download: events in, commands out, no I/O.

A *download* fills one file of a known size from one or more *sources*.  It is given *events*
(bytes written, a connection ended, a reader came, time passed) and returns *commands* (fetch this
span, cancel, hash, restart).  A span that a connection fetches is a *flight*.  ``life`` is the
table of a download's phases, ``assignment`` its flights: ``plan`` says where the next one goes,
``connections`` how many there may be, ``proof`` which digests must be right before the last bytes
may be read.  ``aimirror.exchanges.ranged`` carries the commands out.
"""
