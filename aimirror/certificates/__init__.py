"""Certificates that are ours: the local authority, its leaves, what a listening port shows.

An *authority* is a root that an administrator makes once and clients trust by hand; a *leaf* is a
certificate that it signs for one host when a client asks for it.  Nothing here does network I/O.
"""
