"""What was found out about one thing, and about the clients of this machine."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from aimirror.commands.machine import for_machine
from aimirror.commands.usage import Usage, probed, usage
from aimirror.ecosystems.registry import setting
from aimirror.settings.setting import Address


@frozen
class Finding:
    """One line: ``mark`` is "ok", "warn" or "FAIL"."""

    mark: str
    subject: str
    text: str
    remedy: str = ""

    def line(self) -> str:
        """As it is printed."""
        remedy = f"\n{'':6}{'':11}-> {self.remedy}" if self.remedy else ""
        return f"{self.mark:<6}{self.subject:<11}{self.text}{remedy}"


def of_client(client: str, mirror: Address, *, up: bool) -> Iterator[Finding]:
    """Whether an installed client uses the mirror, and the mirror has what it asks for."""
    wanted = for_machine(setting(client, mirror))
    use = usage(client, wanted)
    if not use.installed:
        return
    if not use.leads_to(mirror):
        remedy = f"aimirror setup {client} --url {mirror.url} --write"
        yield Finding("warn", client, f"goes to {use.elsewhere} ({use.by})", remedy)
        return
    problem = probed(wanted) if up else ""
    if problem:
        yield Finding("FAIL", client, problem, "see the mirror's log, or its errors on the page")
    else:
        yield Finding("ok", client, f"uses the mirror ({use.by})")


def checked(client: str, mirror: Address) -> int:
    """``aimirror setup CLIENT --check``: print what of it is right; the exit status."""
    wanted = for_machine(setting(client, mirror))
    use: Usage = usage(client, wanted)
    uses, problem = use.leads_to(mirror), probed(wanted)
    lines = [
        Finding("ok", client, f"leads to {mirror.url} ({use.by})")
        if uses
        else Finding(
            "FAIL",
            client,
            f"leads to {use.elsewhere} ({use.by})",
            f"aimirror setup {client} --url {mirror.url} --write",
        ),
        Finding("FAIL", "mirror", problem, "aimirror doctor")
        if problem
        else Finding("ok", "mirror", f"answers {wanted.probe}"),
    ]
    for finding in lines:
        print(finding.line())
    return 0 if uses and not problem else 1
