"""The running service: its graph built from a configuration, started, reloaded and stopped.

``service`` owns what lives as long as the process (store, workers, downloads, the listening
port); ``front`` makes what answers requests by one configuration, and a reload makes another one.
``checking`` reads the files that a configuration names, ``logs`` and ``systemd`` speak to the
machine.
"""
