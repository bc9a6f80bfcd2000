"""The sub-commands of ``aimirror``, one module each.

A module has ``add(commands)``, which makes the command's parser with ``run`` as its default: a
function from the parsed arguments to the exit status.  Mistakes of the user are raised as
ConfigError or Complaint, and told in one line.
"""
