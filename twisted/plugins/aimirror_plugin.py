"""Tells twistd of ``twistd aimirror``; every user of twistd pays for what is imported here."""

from twisted.application.service import ServiceMaker

serviceMaker = ServiceMaker(
    "aimirror",
    "aimirror.tap",
    "A download mirror for package indexes, registries and any other HTTP source.",
    "aimirror",
)
