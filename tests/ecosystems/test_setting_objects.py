"""Settings in objects taken from life: what is meant changes, all other members stay."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems.registry import setting

URL = "http://mirror:8081"
OWN = {"type": "composer", "url": f"{URL}/composer"}
NO = {"packagist.org": False}
PLAIN = {"secure-http": False}
REMOTE = {"name": "conancenter", "url": f"{URL}/conan", "verify_ssl": False}
PRIVATE = {"name": "company", "url": "https://conan.company", "verify_ssl": True}
VCS = {"type": "vcs", "url": "https://github.com/acme/x"}

#: Files, and what becomes of them.
COMPOSER: tuple[tuple[Any, Any], ...] = (
    (
        {"config": {"sort-packages": True}},
        {"repositories": [OWN, NO], "config": {"sort-packages": True, **PLAIN}},
    ),
    ({"repositories": [VCS]}, {"repositories": [OWN, VCS, NO], "config": PLAIN}),
    (
        {"repositories": {"acme": VCS, "packagist.org": False}},
        {"repositories": {"aimirror": OWN, "acme": VCS, "packagist.org": False}, "config": PLAIN},
    ),
    ({"config": {}, "repositories": []}, {"config": PLAIN, "repositories": [OWN, NO]}),
    ({"repositories": [OWN, NO], "config": PLAIN}, {"repositories": [OWN, NO], "config": PLAIN}),
)
CONAN: tuple[tuple[Any, Any], ...] = (
    (
        {
            "remotes": [
                {"name": "conancenter", "url": "https://center2.conan.io", "verify_ssl": True}
            ]
        },
        {"remotes": [REMOTE]},
    ),
    ({"remotes": [PRIVATE]}, {"remotes": [REMOTE, PRIVATE]}),
    (
        {"remotes": [PRIVATE, {**REMOTE, "url": "https://center.conan.io", "disabled": False}]},
        {"remotes": [PRIVATE, {**REMOTE, "disabled": False}]},
    ),
    ({"remotes": []}, {"remotes": [REMOTE]}),
    ({"remotes": [REMOTE, PRIVATE]}, {"remotes": [REMOTE, PRIVATE]}),
)

_HEAD = '<?xml version="1.0" encoding="utf-8"?>\n<configuration>\n  <packageSources>\n'
_TAIL = "  </packageSources>\n</configuration>\n"
_OFFICIAL = (
    '<add key="nuget.org" value="https://api.nuget.org/v3/index.json" protocolVersion="3" />'
)
_OURS = (
    f'<add key="nuget.org" value="{URL}/nuget/v3/index.json" protocolVersion="3" '
    'allowInsecureConnections="true" />'
)
_MORE = '    <add key="company" value="https://nuget.company/v3/index.json" />\n'
_LOGIN = "  <packageSourceCredentials><company /></packageSourceCredentials>\n"
NUGET = (
    (f"{_HEAD}    {_OFFICIAL}\n{_TAIL}", f"{_HEAD}    {_OURS}\n{_TAIL}"),
    (f"{_HEAD}    {_OFFICIAL}\n{_MORE}{_TAIL}", f"{_HEAD}    {_OURS}\n{_MORE}{_TAIL}"),
    (
        f"{_HEAD}    <clear /> <!-- ours -->\n    {_OFFICIAL}\n{_TAIL}",
        f"{_HEAD}    <clear /> <!-- ours -->\n    {_OURS}\n{_TAIL}",
    ),
    (
        f"{_HEAD}{_MORE}    {_OFFICIAL}\n  </packageSources>\n{_LOGIN}</configuration>\n",
        f"{_HEAD}{_MORE}    {_OURS}\n  </packageSources>\n{_LOGIN}</configuration>\n",
    ),
    (f"{_HEAD}    {_OURS}\n{_TAIL}", f"{_HEAD}    {_OURS}\n{_TAIL}"),
)


class ObjectTests(SynchronousTestCase):
    def test_objects(self) -> None:
        """Of five files of each, the members that are meant change; the second time none does."""
        for client, files in (("composer", COMPOSER), ("conan", CONAN)):
            merges = setting(client, URL).merges
            self.assertEqual(len(files), 5)
            for before, after in files:
                text = merges(json.dumps(before, indent=4))
                self.assertEqual(json.loads(text), after)
                self.assertEqual(merges(text), text)
            self.assertEqual(merges(merges(None)), merges(None))

    def test_nuget(self) -> None:
        """The source of dotnet's own file is led to the mirror; a file without one is refused."""
        merges = setting("nuget", URL).merges
        for before, after in NUGET:
            self.assertEqual(merges(before), after)
            self.assertEqual(merges(after), after)
        self.assertEqual(merges(merges(None)), merges(None))
        self.assertRaises(ValueError, merges, f"{_HEAD}{_MORE}{_TAIL}")

    def test_refused(self) -> None:
        """What is of another shape is left alone."""
        for client, text in (
            ("composer", '{"repositories": 1}'),
            ("conan", '{"remotes": 1}'),
            ("composer", "["),
        ):
            self.assertRaises(ValueError, setting(client, URL).merges, text)
