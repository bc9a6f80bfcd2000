"""HTTP inward: from a client's connection to a request, and from an answer back to the wire.

``site`` accepts connections, ``channel`` parses what they send, ``head`` judges each request's
head, ``request`` is one request, ``respond`` finds what answers it and sends the *answer*: fields
and a body in memory, or a file that may still be growing (``streaming``, ``sendfile``).  ``memo``
repeats small fresh answers from memory.  ``guard`` and ``users`` say who may ask; ``access_log``
tells of each answer.  Nothing here knows of upstreams or of the cache.
"""
