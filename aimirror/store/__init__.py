"""The disk layer: what is stored, what is being fetched, and what survives a crash.

A response is an *entry* (metadata) whose body is a *blob* named by its sha256; many entries may
share one.  A body on its way is a *part*: a growing or preallocated file beside a *journal* of the
spans known to be on the disk, from which a crashed download goes on.  Under one root::

    blobs/ab/<sha256>       bodies                     parts/<id>.part, <id>.journal
    entries/ab/<name>.json  one sidecar per entry      quarantine/  bytes that failed their digest
    index.sqlite3           the index over both        trash/       unlinked in a thread, soon
    lock                    one service per root

The *index* answers every question without a walk over the disk.  It can be lost: the sidecars
hold the same metadata and ``recovery`` rebuilds it.  A blob is served only while its size and
modification time are those recorded when it was committed.

Order of writes, so that kill -9 loses work but never lies: a part is synced, renamed into blobs,
entered into the index, and only then named by an entry.  ``store.Store`` is the face of it all.
"""
