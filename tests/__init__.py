"""The tests; a busy machine is no failure of a property, so that none has a deadline."""

from hypothesis import settings

settings.register_profile("aimirror", deadline=None)
settings.load_profile("aimirror")
