"""How a registry asks who we are, and whom we tell: challenges, realms and tokens.

Sources: the Token Authentication Specification of the CNCF distribution project; nvcr.io's own challenge, whose realm
has the scope in its query: https://issues.apache.org/jira/browse/MESOS-10092.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from deploys.registry.credentials import Secret
from deploys.registry.transport import is_loopback, is_plain

_WORD = r"[\w!#$%&'*+.^`|~-]+"
_PARAMETER = re.compile(rf'[\s,]*({_WORD})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))')
_SCHEME = re.compile(rf"[\s,]*({_WORD})(?=\s|,|$)")


@dataclass(frozen=True)
class Challenge:
    """One way in which a registry wants to be told who we are: bearer or basic, and its parameters."""

    scheme: str  # in small letters
    parameters: Mapping[str, str]  # names in small letters


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """Read a WWW-Authenticate header, which may hold several challenges; commas within quotes are text."""
    found: list[tuple[str, dict[str, str]]] = []
    position = 0
    while position < len(header):
        parameter = _PARAMETER.match(header, position) if found else None
        scheme = None if parameter else _SCHEME.match(header, position)
        if parameter:
            name, quoted, plain = parameter.groups()
            found[-1][1][name.lower()] = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        elif scheme:
            found.append((scheme[1].lower(), {}))
        matched = parameter or scheme
        position = matched.end() if matched else position + 1
    return tuple(Challenge(scheme, parameters) for scheme, parameters in found)


def token_address(challenge: Challenge, repository: str) -> str:
    """Where a token to pull from the repository is to be had; "" where the challenge's realm is no safe address.

    A challenge may ask for more than pulling, as nvcr.io's does. What is no repository's scope is left as it is.
    """
    realm = challenge.parameters.get("realm", "")
    try:
        parts = urlsplit(realm)
    except ValueError:
        return ""
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.netloc))
    if not is_safe or not is_plain(realm):
        return ""
    query = dict(parse_qsl(parts.query)) | {
        name: value for name, value in challenge.parameters.items() if name in ("service", "scope")
    }
    if query.get("scope", "repository:").startswith("repository:"):
        query["scope"] = f"repository:{repository}:pull"
    return urlunsplit(parts._replace(query=urlencode(query), fragment=""))


def is_trusted(realm: str, address: str) -> bool:
    """Whether the password for the registry at ``address`` may go to this realm, both safe: host or domain are its own.

    So registry-1.docker.io's goes to auth.docker.io, and no registry can have another's sent to itself.
    """
    there, here = urlsplit(realm).hostname or "", urlsplit(address).hostname or ""
    return there == here or (_domain(there) == _domain(here) != "")


def _domain(host: str) -> str:
    """The part of a name that one owner has, told by its shape: docker.io, lab.co.uk. "" for addresses."""
    try:
        ip_address(host)
    except ValueError:
        labels = host.split(".")
        # co.uk, com.au: nobody's own. At worst a short name under a country's domain counts as such, and trusts less.
        size = 3 if len(labels[-1]) == 2 and len(labels[-2:][0]) <= 3 else 2
        return ".".join(labels[-size:]) if len(labels) >= size else ""
    return ""


def basic(secret: Secret) -> str:
    """The Authorization header with a user name and password. Goes over TLS or to this machine alone."""
    return "Basic " + b64encode(f"{secret.username}:{secret.password}".encode()).decode()
