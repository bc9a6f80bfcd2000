"""The mirror as a client's HTTP_PROXY and HTTPS_PROXY.

``policy`` says which hosts a client may reach, ``proxy`` answers absolute-form requests and
CONNECT, ``tunnel`` passes bytes through unread, ``intercept`` ends the client's TLS for hosts
that rules accelerate, with a leaf certificate of the local ``authority`` (opt-in).
"""
