"""The one error of a configuration."""


class ConfigError(Exception):
    """A mistake in a configuration file; its text is one line: file, key, value, what is allowed.

    Never names a credential.
    """
