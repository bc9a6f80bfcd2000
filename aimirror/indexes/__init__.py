"""What an index says of the files that it names: digests, generations, where each is looked for.

``Reading`` tells how an index is read into a ``DigestTable``; ``Indexes`` keeps the tables of what
is stored; ``Proving`` gives a file the digest that its own index says; ``indexed`` does that for
worlds whose indexes name files (npm, conda, cargo …), ``distributions`` for those whose signed
release names the indexes (apt, rpm).  Nothing here knows a particular package world.
"""
