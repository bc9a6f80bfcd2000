"""Container registries: which there are, what is asked of them, and with whose right.

``registry`` is the table of those that are dialled, ``paths`` what a client's path means in it.
``auth`` knows challenges, scopes and tokens; ``logins`` says which registry is shown a client's
login, ``sources`` which upstreams may be asked with it, ``tokens`` keeps what registries give for
it, and ``issuing`` is the mirror's own token service.  The world of their images is
``aimirror.ecosystems.oci``.
"""
