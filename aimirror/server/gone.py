"""The one word for a client that has left."""


class ClientGone(Exception):
    """The client left, or was cut off, before it had its answer."""

    def __init__(self) -> None:
        super().__init__("the client is gone")
