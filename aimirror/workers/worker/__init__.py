"""The child process: fetches byte ranges, checks them, writes them into part files, hashes.

A *face* speaks AMP with the parent.  A *piece* is one task: it asks over treq, has the header
judged by ``core.piece`` and lets the *body* flow through a *writer* into the part *file*, which
all pieces of one path share.  A *hasher* keeps running digests in threads.
"""
