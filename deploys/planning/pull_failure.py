"""Why a pull failed, in three parts. The kinds are those that templates/images_pull.sh tells by Docker's words."""

from __future__ import annotations

import re
from collections.abc import Iterable

from deploys.planning.daemon_config import redacted
from deploys.planning.records import Pull

# kind: what is wrong with image {image}, what to do about it. {registry} is whose words Docker repeats.
MESSAGES = {
    "space": (
        "the disk is full",
        "free some space where Docker keeps its images (docker info: Docker Root Dir), or move its data-root",
    ),
    "unauthorized": (
        "{registry} asks who we are",
        'set images_credentials = {{"{registry}": …}}, or correct the password that it leads to',
    ),
    "denied": (
        "{registry} does not let us have it",
        "check the name, and that this user may pull it and has accepted its licence; proxies say Forbidden, too",
    ),
    "not-found": (
        "{registry} does not have it",
        "check the name, the tag and the digest; an old digest may have been removed there",
    ),
    "rate": (
        "{registry} has had enough pulls from here for now",
        "wait, log in (images_credentials), or let the fleet pull through a cache (deploys/registry_cache.py)",
    ),
    "dns": (
        "the host does not find the registry's address",
        "check the host's name servers (resolvectl status, /etc/resolv.conf) and the registry's name",
    ),
    "tls": (
        "the host does not trust the registry's certificate",
        "check the host's clock; put the registry's authority into /etc/docker/certs.d/{registry}/ca.crt",
    ),
    "proxy": (
        "the host's Docker does not get through its proxy",
        "docker info shows it; daemon.json or the environment of Docker's unit sets it",
    ),
    "network": (
        "the registry does not answer, or not to the end",
        "check the host's network; run this again: layers that are finished are kept",
    ),
    "daemon": ("Docker does not answer", "journalctl -u docker on the host says why; then run this again"),
    "architecture": (
        "it is not made for this host",
        "choose one of this host's architecture; docker image rm removes what was pulled",
    ),
    "digest": (
        "what came is not what was asked for",
        "do not use it; ask whoever runs the registry or the cache that it came from",
    ),
}
UNKNOWN = ("it cannot be pulled", "try docker pull on the host; journalctl -u docker says more")


def explain_failure(pull: Pull, kind: str, seen: str, *, attempts: int, passwords: Iterable[str] = ()) -> str:
    """What is wrong, what was seen (Docker's words, without secrets), what to do."""
    brief, remedy = MESSAGES.get(kind, UNKNOWN)
    registry = pull.registry or "the registry"
    tried = f" ({attempts} attempts)" if attempts > 1 else ""
    return (
        f"image {pull.reference}: {brief.format(registry=registry)}\n"
        f"  seen: {without_secrets(seen, passwords) or 'Docker says nothing'}{tried}\n"
        f"  to do: {remedy.format(registry=registry)}"
    )


def without_secrets(text: str, passwords: Iterable[str] = ()) -> str:
    """The text with ``***`` for passwords, for the user part of addresses and for their query, which may be signed."""
    for password in passwords:
        text = text.replace(password, "***") if password else text
    return re.sub(r"(https?://[^\s\"?]*)\?[^\s\"]*", r"\1?***", str(redacted(text)))
