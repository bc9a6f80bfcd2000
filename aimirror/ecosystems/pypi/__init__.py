"""Python's package indexes: pages (PEP 503, 691), the digests in them, metadata sidecars."""
