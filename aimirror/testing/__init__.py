"""Fakes that ship with the product: what a test or a benchmark needs around a real mirror.

``origin`` is an upstream that does what its script says, faults included; ``behaviour`` are the
words of that script and ``answers`` decides what to send, without I/O.  ``relay`` stands for a
slow network: it limits each connection and adds a round trip.  ``processes`` starts those and the
service itself as real processes and makes sure that none is left; ``client`` is a blocking HTTP
client that hides nothing.  All of it talks to 127.0.0.1 alone.
"""
