"""The second tier: an S3 store behind the disks of the nodes, one more source of proved bytes.

- *blob*: a body named by its sha256, ``blobs/ab/…``; it never changes.
- *entry*: what a node knows of one stored response, ``entries/ab/…``, signed with the cluster's
  key and replaced as a whole.  Who can write to the bucket can delete, but not deceive.
- *breaker*: while the store is slow or away, nobody asks it.

Only what may be given to anybody goes there.  Nothing needs the store to be up.
"""
