"""Container registries: names, paths, logins and tokens."""
