"""How we speak HTTP outward: one request at a time, on connections whose address was judged.

``Upstream`` (client) is what the service asks: it follows redirects and hands out responses.
``Agents`` (agent) sends single requests over pooled ``Connection``s; the workers use it below
treq.  A ``Route`` (routes) makes a connection: the ``Dialer`` (dialing) resolves a name, judges
each address and dials exactly the judged one, a ``Tunnel`` (tunnel) crosses a proxy, ``tls``
wraps the rest.  Each response header passes ``heads`` before Twisted's parser sees it; ``errors``
turns what went wrong into the few Reasons that the rest of the program knows.
"""
