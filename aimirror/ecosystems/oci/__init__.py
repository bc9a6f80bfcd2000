"""OCI registries: many behind one address, each asked with the right of the client that asks."""
