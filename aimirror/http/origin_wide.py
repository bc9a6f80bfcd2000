"""Fields of an answer by which one file would speak for the whole mirror, each with the reason.

Everything that is mirrored shares the mirror's origin (scheme, host and port) in a browser.  What
an upstream says there of its *own* origin must not come to hold for all the others, nor for the
dashboard.  Clients that have us for a proxy see the upstream's own origin, and get all fields.
"""

from __future__ import annotations

from collections.abc import Mapping

#: By name in lower case.
ORIGIN_WIDE: Mapping[str, str] = {
    "accept-ch": "browsers would tell every upstream more of themselves",
    "access-control-allow-credentials": "pages of any site could read what this client may read",
    "access-control-allow-headers": "pages of any site could read what this client may read",
    "access-control-allow-methods": "pages of any site could read what this client may read",
    "access-control-allow-origin": "pages of any site could read what this client may read",
    "access-control-allow-private-network": "pages of the internet could ask a mirror inside",
    "access-control-expose-headers": "pages of any site could read what this client may read",
    "access-control-max-age": "pages of any site could read what this client may read",
    "activate-storage-access": "it opens what a browser keeps for the mirror",
    "alt-svc": "clients would go elsewhere for all the mirror has",
    "attribution-reporting-register-source": "browsers would send reports of all pages",
    "attribution-reporting-register-trigger": "browsers would send reports of all pages",
    "clear-site-data": "one file could log the administrator out and empty caches",
    "content-security-policy": "it may name whom to report to; the mirror sets its own",
    "content-security-policy-report-only": "it may name whom to report to",
    "critical-ch": "browsers would tell every upstream more of themselves",
    "cross-origin-embedder-policy-report-only": "it names whom to report to",
    "cross-origin-opener-policy": "together with the sandbox browsers refuse the page",
    "cross-origin-opener-policy-report-only": "it names whom to report to",
    "expect-ct": "it names whom to report to, for the whole host",
    "nel": "failures of all requests would be reported to one upstream",
    "observe-browsing-topics": "the mirror's pages would count as one upstream's",
    "origin-agent-cluster": "the first answer decides for the whole origin",
    "public-key-pins": "it could lock clients out of the whole host",
    "public-key-pins-report-only": "it names whom to report to, for the whole host",
    "report-to": "it names whom to report to, for the whole origin",
    "reporting-endpoints": "it names whom to report to",
    "secure-session-registration": "it ties sessions of the whole origin to one upstream",
    "service-worker-allowed": "a script of one upstream could answer for all, the dashboard too",
    "set-cookie": "one upstream's cookie would be sent to all others, and overwrite theirs",
    "set-cookie2": "one upstream's cookie would be sent to all others, and overwrite theirs",
    "set-login": "it changes what a browser believes of the whole origin",
    "speculation-rules": "pages of the mirror would be fetched unasked",
    "strict-transport-security": "the whole host would be reached by https alone",
    "timing-allow-origin": "pages of any site could tell what is stored",
    "use-as-dictionary": "one file would be the key to read all others with",
}

#: What mirrored answers carry instead: no script runs, no form is sent, the page has an origin of
#: its own, and a file is taken for nothing but what it says it is.  Clicks may download.
CONFINED = (
    ("Content-Security-Policy", "sandbox allow-downloads"),
    ("X-Content-Type-Options", "nosniff"),
)
#: By this pages of any site may read an answer, but none that they ask for with a credential.
OPEN = ("Access-Control-Allow-Origin", "*")
