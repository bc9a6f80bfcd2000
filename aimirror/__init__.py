"""aimirror: one download mirror in front of PyPI, OCI registries, Hugging Face and any HTTP source.

The way of the data is: request -> rule -> (cache | download) -> stream.

A *rule* says which upstream serves a path and how a miss is filled.  An *entry* is one stored
response of one cache *key* (the upstream URL); its body is a content-addressed *blob*, shared by
all entries with equal bytes.  A miss starts one *download* per key, however many clients ask: the
parent sends the first request (the *probe*, a ranged GET), whose answer decides; large files are
then split into *pieces* which worker processes fetch and ``pwrite`` into the *part* file.  Bytes
are *readable* once written and checked, *durable* once synced and journalled.  Clients read a
*body*: a file with readable spans, old or still growing alike.

Layers, an import only points upwards in this list (tests/test_layers.py):
``core`` (decisions, no I/O) < ``config``, ``interfaces`` < ``cache`` (disk), ``certificates``,
``wire`` (AMP), ``upstream`` (HTTP outward) < ``worker`` (child process), ``pool`` (the parent's
half) < ``downloads`` (one interpreter per key) < ``web`` < ``service``, ``tap``, ``cli``.
"""

__version__ = "0.4.0"
