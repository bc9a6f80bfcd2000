"""Decisions without I/O: only the standard library's pure parts and attrs; time is an argument.

No twisted, os, time, random, socket or sqlite3 here (tests/test_layers.py enforces it).
"""
