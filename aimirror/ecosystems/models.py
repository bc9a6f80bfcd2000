"""Hosts of weights and data sets that have no package client of their own."""

from __future__ import annotations

from aimirror.ecosystems.world import Row, World
from aimirror.settings.setting import Address, Setting, exported

_PRESETS = r"""
openai: # https://openaipublic.blob.core.windows.net/x -> http://MIRROR/openaipublic/x
  - &openai
    name: -models # Whisper's weights are named by their sha256
    path_prefix: /openaipublic
    strip_prefix: true
    upstream: "https://openaipublic.blob.core.windows.net"
    pattern: '/[0-9a-f]{64}/[^/]+\.pt$'
    digest: {algorithm: sha256, from: path, pattern: '/([0-9a-f]{64})/[^/]+\.pt$'}
    strategy: parallel
    immutable: true
    reject_types: [text/html, application/xml]
  - <<: *openai
    name: ""
    pattern: "^/"
    digest: []
    immutable: false
    reject_types: []
    cache: {ttl: 1h, stale_if_error: 7d}

civitai: # https://civitai.com/api/download/models/x -> http://MIRROR/civitai/api/download/models/x
  - &civitai
    name: -files # a version's number names its file; the address behind it is signed anew each time
    path_prefix: /civitai
    strip_prefix: true
    upstream: "https://civitai.com"
    pattern: '/api/download/'
    strategy: parallel
    public: true
    cache_key_source: original
    reject_types: [text/html]
    cache: {ttl: 1d, stale_if_error: 7d}
  - <<: *civitai
    name: ""
    pattern: "^/"
    strategy: proxy
    reject_types: []
    cache: {stale_if_error: 7d}

kaggle: # KAGGLE_API_ENDPOINT=http://MIRROR/kaggle, for kagglehub
  - name: ""
    path_prefix: /kaggle
    strip_prefix: true
    upstream: "https://www.kaggle.com"
    strategy: parallel
    public: true # what a login alone opens stays that login's
    cache_key_source: original
    cache: {ttl: 10m, stale_if_error: 7d}

gcs: # https://storage.googleapis.com/BUCKET/x -> http://MIRROR/google-storage/BUCKET/x
  - name: ""
    path_prefix: /google-storage
    strip_prefix: true
    upstream: "https://storage.googleapis.com"
    strategy: parallel
    content_rewrite: {content_types: [text/html]} # pip install -f .../jax_cuda_releases.html
    cache: {stale_if_error: 7d}

nltk: # nltk.download(..., download_dir=...) with the server http://MIRROR/nltk/index.xml
  - &nltk
    name: -index
    path_prefix: /nltk
    strip_prefix: true
    upstream: "https://raw.githubusercontent.com/nltk/nltk_data/gh-pages"
    pattern: '/index\.xml$'
    strategy: proxy
    content_rewrite: {content_types: [xml, text/plain]}
    cache: {ttl: 10m, stale_if_error: 7d}
  - <<: *nltk
    name: ""
    pattern: "^/"
    strategy: parallel
    content_rewrite: null
    cache: {ttl: 1h, stale_if_error: 7d}
"""


def _kaggle(mirror: Address) -> Setting:
    api = mirror.at("/kaggle")
    return exported(f"{api}/api/v1/", KAGGLE_API_ENDPOINT=api)


WORLD = World(
    name="models",
    presets=_PRESETS,
    clients={"kaggle": _kaggle},
    row=Row(
        clients="Whisper, tiktoken, Civitai, Kaggle, Google's buckets, NLTK",
        at="`/openaipublic`, `/civitai`, `/kaggle`, `/google-storage`, `/nltk`",
        checked="Whisper's weights by their path",
        changes="whatever has no fixed life",
    ),
)
