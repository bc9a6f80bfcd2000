"""What upstreams wrote is read apart: in processes of its own, which may be killed at any time.

A few kilobytes can unpack to gigabytes, or make a reader busy for minutes.  So an index is not read
in the service: ``apart.Apart`` hands its bytes to a child (``__main__``), whose memory and CPU
seconds are limited by the kernel, and gets bytes back.  Children are started as they are needed.

Over the child's stdin go jobs: 4 bytes of length, JSON (``call``: "module:function", ``texts``,
``size``, ``seconds`` of CPU), and ``size`` bytes of data.  Over its stdout come answers: a status
byte, 8 bytes of length, that many bytes; one with nothing in it as soon as it is up.  In the status
FAILED says that the bytes are a reason, LEAVING that the child does no other job.
"""

FAILED = 1
LEAVING = 2
