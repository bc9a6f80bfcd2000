"""``aimirror balance``: a load balancer's configuration, made from the rules."""

from __future__ import annotations

import argparse

from aimirror.cluster.affinity import shapes
from aimirror.cluster.balancers import BALANCERS, Site
from aimirror.commands.common import Commands, Complaint, add_config
from aimirror.http.targets import BadTarget, parse_target
from aimirror.tap import configured


def add(commands: Commands) -> None:
    """The parser of this command."""
    parser = commands.add_parser("balance")
    parser.add_argument("balancer", choices=sorted(BALANCERS), metavar="BALANCER", help=_names())
    parser.add_argument(
        "nodes", nargs="*", metavar="HOST:PORT", help="the nodes (default: three to be replaced)"
    )
    parser.add_argument("--port", type=int, default=8080, help="where it listens (8080)")
    add_config(parser)
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Print it."""
    config = configured(given.config)
    default = config.server.port or 8081
    named = given.nodes or [f"node{number}:{default}" for number in (1, 2, 3)]
    site = Site(
        nodes=tuple(_node(text, default) for text in named),
        port=given.port,
        shapes=shapes(config.rules),
    )
    print(BALANCERS[given.balancer](site), end="")
    return 0


def _names() -> str:
    return ", ".join(BALANCERS)


def _node(text: str, port: int) -> tuple[str, int]:
    try:
        target = parse_target(f"http://{text if ':' in text else f'{text}:{port}'}/")
    except BadTarget:
        raise Complaint(f"{text!r} is not like host:port") from None
    return target.bracketed, target.port
