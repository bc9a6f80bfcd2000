"""What the operator sees and does: health, metrics, API, jobs, prefetch, the mirror's own pages.

``operations`` puts the named paths together (/health, /stats, /metrics, /aimirror), ``gate`` says
who may use them.  ``api`` and ``looks`` answer, of what ``overview``, ``recent``, ``packages`` and
``behind`` know; ``openapi`` describes that.  ``prefetch`` asks the mirror from within as a client
would.  ``welcome`` is the page for everybody; ``pages`` has the administration's, made of the files
in the folder of that name, and ``history`` keeps their charts over a restart.
"""
