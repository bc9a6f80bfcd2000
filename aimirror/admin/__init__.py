"""What the operator sees and does: health, metrics, the API, jobs, prefetch, the dashboard.

``operations`` puts the named paths together (/health, /stats, /metrics, /aimirror), ``gate`` says
who may use them, ``api`` and its neighbours answer, ``prefetch`` asks the mirror from ``inside``
as a client would, ``pages/`` is the dashboard.
"""
