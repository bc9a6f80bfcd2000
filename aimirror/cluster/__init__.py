"""Many nodes as one mirror: which of them a request belongs to.

- *affinity key*: what must lie on one node together, made of a request's path: a package with its
  index, an image's layer, a file.  The balancer's configuration and the owners are made of the
  same table of shapes.
"""
