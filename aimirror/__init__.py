"""aimirror: one download mirror in front of PyPI, OCI registries, Hugging Face and any HTTP source.

The way of the data is: request -> rule -> (cache | download) -> stream.

A *rule* says which upstream serves a path and how a miss is filled.  An *entry* is one stored
response of one cache *key* (the upstream URL); its body is a content-addressed *blob*, shared by
all entries with equal bytes.  A miss starts one *download* per key, however many clients ask: the
parent sends the first request (the *probe*, a ranged GET), whose answer decides; large files are
then split into *pieces* which worker processes fetch and ``pwrite`` into the *part* file.  Bytes
are *readable* once written and checked, *durable* once synced and journalled.  Clients read a
*body*: a file with readable spans, old or still growing alike.

One folder is one subject; docs/architecture.md names them, their words, and the file for each
change.  An import points only to an earlier room of tests/test_layers.py.
"""

import sys

__version__ = "0.4.0"

if sys.platform == "win32":  # before anything is imported that is not there
    raise SystemExit(
        "aimirror: runs on Linux and macOS; on Windows use WSL 2 (wsl --install) or the container"
    )
