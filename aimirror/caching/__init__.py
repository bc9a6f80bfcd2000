"""RFC 9111 and its companions as pure functions: what may be stored, reused, revalidated.

An *entry* describes one stored answer.  ``storing`` judges whether an answer may be kept and for
whom, ``reuse`` whether an entry may be served, ``freshness`` how long, ``validation`` what a 304
changes, ``variants`` which of several entries a request selects (Vary), ``cache_status`` tells
clients about it (RFC 9211).  Time is an argument, in epoch seconds.
"""
