"""Which bodies are text: only these are decoded, rewritten and compressed on the way."""

from __future__ import annotations

import re

#: Parts of content types.  A server that sends "Content-Encoding: gzip" with an archive means the
#: archive itself, hence nothing else is touched.
_TEXT = re.compile("text/|json|xml|javascript|yaml", re.IGNORECASE)


def is_text(content_type: str) -> bool:
    """Whether bodies of this Content-Type are text."""
    return _TEXT.search(content_type) is not None
