"""What package clients are told, and how that is written into files that are somebody else's.

A *setting* is what one client must be told to use a mirror: files, variables, commands.  A *merge*
puts it into a file that may hold more, by the grammar of that file's format: one module each.
"""
