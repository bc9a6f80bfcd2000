"""Package worlds: what is known of each beyond HTTP, by the name that rules use.

One file holds all that is known of one world, or one folder where that is more: its paths,
digests and errors, its presets, what its clients must be told, and the row of the documents' table.
Each ends with ``WORLD``; ``registry`` lists them, and the configuration, the presets and ``aimirror
setup`` are made of that list.

Most worlds are a value alone (``world.World``), without I/O: ``indexed`` carries out what their
indexes say of files, ``distributions`` what signed releases say.  A world that does more has a
class of its own (``making.Coded``), by the protocol ``mirror.ecosystem.Ecosystem``.

Shared: ``proving`` checks files, stored ones too, by what ``indexes`` knows of stored indexes
(``digest_table``), ``generations`` keeps files that change together of one age, ``clients`` writes
settings.
"""
