"""The words of HTTP as values: header fields, dates, ranges, conditions, URLs, media types.

No I/O and no clock: what is parsed here is a string or a ``Headers``, what comes out is a frozen
value.  Byte intervals are half open inside; ``ranges`` alone knows HTTP's inclusive ones.
``egress`` says how a request may leave (which addresses, which proxy, which time-outs);
``validator`` says which version of a file an answer is of.
"""
