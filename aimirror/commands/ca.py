"""``aimirror ca``: make the local authority, show it, say how clients trust it."""

from __future__ import annotations

import argparse
from pathlib import Path

from aimirror.commands.common import Commands, Complaint, add_config
from aimirror.config import Config, load
from aimirror.forward import authority
from aimirror.forward.authority import CERTIFICATE, Authority, AuthorityError
from aimirror.forward.policy import secure_origins
from aimirror.http.urls import host

_HINT = """\
The certificate that clients have to trust is {pem}
(copy it to them; the key stays here). SHA-256 {fingerprint}

For one shell; with these, pip, uv, curl, npm, git and Python's requests go through aimirror:
  export HTTPS_PROXY={proxy} HTTP_PROXY={proxy}
  export PIP_CERT={pem} SSL_CERT_FILE={pem} REQUESTS_CA_BUNDLE={pem}
  export CURL_CA_BUNDLE={pem} GIT_SSL_CAINFO={pem} NODE_EXTRA_CA_CERTS={pem}
  Hosts that are only tunnelled show their own certificate: where you need both, give a bundle
    cat /etc/ssl/certs/ca-certificates.crt {pem} > bundle.pem
  instead; NODE_EXTRA_CA_CERTS adds by itself.

One by one:
  pip       pip config set global.cert bundle.pem
  uv        SSL_CERT_FILE=bundle.pem, or put it into the system's store and use --native-tls
  curl      --cacert bundle.pem, or cacert = "bundle.pem" in ~/.curlrc
  npm       npm config set cafile bundle.pem
  git       git config --global http.sslCAInfo bundle.pem
  Python    SSL_CERT_FILE=bundle.pem; for requests and huggingface_hub REQUESTS_CA_BUNDLE=bundle.pem
  docker    put it into the system's store, then: systemctl restart docker; the proxy goes into
            /etc/docker/daemon.json: {{"proxies": {{"https-proxy": "{proxy}"}}}}
  Java      keytool -importcert -cacerts -alias aimirror -file {pem}
            and -Dhttps.proxyHost=HOST -Dhttps.proxyPort=PORT

The system's store:
  Debian, Ubuntu   cp {pem} /usr/local/share/ca-certificates/aimirror.crt && update-ca-certificates
  Fedora, RHEL     cp {pem} /etc/pki/ca-trust/source/anchors/ && update-ca-trust
  Alpine           cat {pem} >> /etc/ssl/certs/ca-certificates.crt
  macOS            security add-trusted-cert -d -k /Library/Keychains/System.keychain {pem}
  Windows          certutil -addstore Root {pem}
"""


def add(commands: Commands) -> None:
    """The parsers of this command and its actions."""
    parser = commands.add_parser("ca")
    actions = parser.add_subparsers(title="actions", metavar="", required=True)
    for name, text, what in (
        ("init", _init, "make the authority"),
        ("show", _show, "show what it is"),
        ("install-hint", _hint, "say how clients trust it"),
    ):
        action = actions.add_parser(name, help=what)
        add_config(action)
        action.add_argument("--dir", metavar="DIR", help="folder, before forward.ca_dir")
        action.set_defaults(run=run, text=text)
        if name == "init":
            action.add_argument(
                "--days", type=_days, default=authority.ROOT_DAYS, help="how long it is valid"
            )
            action.add_argument("--force", action="store_true", help="replace what is there")


def run(given: argparse.Namespace) -> int:
    """Carry out an action, and print what it has to say."""
    config = load(Path(given.config) if given.config else None)
    folder = Path(given.dir) if given.dir else config.forward.ca_dir
    assert folder is not None  # set when the configuration was loaded
    try:
        print(given.text(given, config, folder))
    except AuthorityError as error:
        raise Complaint(str(error)) from None
    return 0


def _init(given: argparse.Namespace, config: Config, folder: Path) -> str:
    hosts = [host(origin) for origin in secure_origins(config.rules)]
    made = authority.make(hosts, authority.now(), given.days)
    authority.store(made, folder, replace=given.force)
    return (
        f"{_described(made, folder)}\n\n"
        "Now set forward.intercept: true, and have clients trust it: aimirror ca install-hint"
    )


def _show(given: argparse.Namespace, config: Config, folder: Path) -> str:
    return _described(authority.load(folder), folder)


def _described(authority_here: Authority, folder: Path) -> str:
    own = authority_here.certificate
    return "\n".join(
        (
            f"certificate  {folder / CERTIFICATE}",
            f"name         {own.subject.rfc4514_string()}",
            f"SHA-256      {authority_here.fingerprint}",
            f"valid until  {own.not_valid_after_utc:%Y-%m-%d}",
            f"only for     {', '.join(authority_here.hosts)} and what is below them",
        )
    )


def _hint(given: argparse.Namespace, config: Config, folder: Path) -> str:
    authority_here = authority.load(folder)
    scheme = "https" if config.server.tls is not None else "http"
    proxy = f"{scheme}://localhost:{config.server.port}"
    return _HINT.format(
        pem=folder.absolute() / CERTIFICATE, fingerprint=authority_here.fingerprint, proxy=proxy
    ).rstrip()


def _days(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= authority.MOST_ROOT_DAYS:
        raise argparse.ArgumentTypeError(f"1 to {authority.MOST_ROOT_DAYS} days are allowed")
    return int(text)
