"""One upstream exchange per cache key, however many clients wait for it.

``registry`` joins requests and owns what runs; ``exchange`` asks the upstream and decides what
its answer is (validated, stored, passed on); ``ranged`` interprets the machine of
``aimirror.download`` with workers; ``plain`` stores one plain stream; both let clients read
a ``growing`` body while it is written by ``stream`` or by the workers.
"""
