"""Which bodies are text: only these are decoded, rewritten and compressed on the way."""

from __future__ import annotations

#: Parts of content types.  A server that sends "Content-Encoding: gzip" with an archive means the
#: archive itself, hence nothing else is touched.
_TEXT = ("text/", "json", "xml", "javascript", "yaml")


def is_text(content_type: str) -> bool:
    """Whether bodies of this Content-Type are text."""
    lowered = content_type.lower()
    return any(part in lowered for part in _TEXT)
