"""What is there for each key, and the one way to more of it.

``library`` is the door (``ILibrary``): nothing in ``mirror`` and ``ecosystems`` sees what is behind
it.  One upstream exchange runs per key, however many clients wait for it: ``running`` joins
requests and owns what runs, ``exchange`` asks the upstream (``asking``, ``turns``: the first
upstream that can), ``elsewhere`` the tier and the other nodes, and ``filling`` decides by
``answering`` and ``judging`` what an answer becomes: validated, stored, passed on.  ``heading``
goes the same way for HEAD.  ``ranged`` interprets the machine of ``aimirror.download``
(``drawing``: whence, ``sources``, ``flights``, ``concluding``), ``plain`` stores one plain stream;
both let clients read a ``growing`` body while it is written by ``stream`` or by the workers.
``environment`` is the disk, the workers, the network and the clock that all of them work with.
"""
