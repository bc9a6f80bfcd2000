"""From a path to its upstream: rules, the digests that they name, and their cache policies.

A *rule* takes paths and says where they come from and how a miss is filled; a *route* is what a
rule makes of one path: its upstream URLs, the *key* under which the answer is stored, and what is
known of the content.  Pure: no I/O, no clock.
"""
