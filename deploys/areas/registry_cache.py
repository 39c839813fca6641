"""The site cache of registries on a host, and the certificate of its authority, which is brought to the controller."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import bcrypt
from pyinfra import logger
from pyinfra.api.command import FunctionCommand, PyinfraCommand
from pyinfra.api.host import Host as PyinfraHost
from pyinfra.api.operation import operation
from pyinfra.api.state import State

from deploys.areas.access import Access, load_detached, load_script, run_now
from deploys.planning.records import CachePlan
from deploys.planning.registry_cache import AUTHORITY, file_name
from deploys.planning.settings import Problem, Settings
from deploys.registry.credentials import Secret
from facts.model import Host

BCRYPT_LIMIT = 72  # bytes of a password: bcrypt knows no longer ones


@dataclass(frozen=True)
class CacheSecrets:
    """Whom the cache is at its upstreams, and whom it lets in; each by upstream."""

    upstreams: Mapping[str, Secret] = field(default_factory=dict, repr=False)
    clients: Mapping[str, Secret] = field(default_factory=dict, repr=False)


@operation()
def set_up_cache(
    plan: CachePlan, secrets: CacheSecrets, access: Access, authority: Path
) -> Generator[PyinfraCommand, None, None]:
    """Make the host what ``plan`` says, then bring its authority's certificate to the file ``authority`` here."""
    script = load_detached("registry_cache_certificate", "registry_cache")
    yield access.command(script, "registry-cache", *cache_words(plan), stdin=cache_input(plan, secrets))
    if plan.upstreams:
        yield FunctionCommand(fetch_authority, (access, authority), {})


@operation()
def bring_authority(access: Access, authority: Path) -> Generator[PyinfraCommand, None, None]:
    """Bring the certificate of the cache's authority alone: the host needs nothing, and the file here is another."""
    yield FunctionCommand(fetch_authority, (access, authority), {})


def cache_words(plan: CachePlan) -> list[str]:
    """The arguments of templates/registry_cache.sh. Nothing secret is among them."""
    return [
        plan.address,
        plan.name,
        plan.image,
        plan.folder,
        "yes" if plan.make_certificate else "no",
        *(f"remove={name}" for name in plan.remove),
        *(f"env={name}={value}" for name, value in plan.environment),
    ]


def cache_input(plan: CachePlan, secrets: CacheSecrets) -> str:
    """Its standard input: a line for each cache to start, with what may be secret."""
    ports, texts = dict(plan.upstreams), [text for _, text in plan.files]
    return "".join(
        f"{file_name(upstream)} {ports[upstream]} {_encode(text)} {_encode(_credentials(secrets, upstream))} "
        f"{_encode(_htpasswd(secrets, upstream))}\n"
        for upstream, text in zip(plan.start, texts, strict=True)
    )


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode() or "-"


def _credentials(secrets: CacheSecrets, upstream: str) -> str:
    """The last lines of a registry's configuration. A text of JSON is one of YAML too."""
    if upstream not in secrets.upstreams:
        return ""
    secret = secrets.upstreams[upstream]
    return f"  username: {json.dumps(secret.username)}\n  password: {json.dumps(secret.password)}\n"


def _htpasswd(secrets: CacheSecrets, upstream: str) -> str:
    """Distribution takes bcrypt alone (registry/auth/htpasswd)."""
    if upstream not in secrets.clients:
        return ""
    secret = secrets.clients[upstream]
    return f"{secret.username}:{bcrypt.hashpw(secret.password.encode(), bcrypt.gensalt()).decode()}\n"


def check_secrets(secrets: CacheSecrets) -> Problem | None:
    """Why these cannot be used for a cache, without any of them in it."""
    for upstream, secret in secrets.clients.items():
        if ":" in secret.username or len(secret.password.encode()) > BCRYPT_LIMIT:
            reason = f"of {upstream}: the user may have no colon, the password at most {BCRYPT_LIMIT} bytes"
            return Problem("registry_cache_clients", reason)
    return None


def mark_secrets(secrets: CacheSecrets) -> dict[str, str]:
    """For each upstream with any, a mark that changes with them: 32 bits of a slow hash, which tell nothing of them."""
    marks: dict[str, str] = {}
    for upstream in {*secrets.upstreams, *secrets.clients}:
        told = [
            (secret.username, secret.password) if secret else ()
            for secret in (secrets.upstreams.get(upstream), secrets.clients.get(upstream))
        ]
        marks[upstream] = _slow_hash(json.dumps(told), upstream)
    return marks


@cache
def _slow_hash(text: str, salt: str) -> str:
    """Once for all hosts of a group with the same settings: nothing else goes on meanwhile."""
    return hashlib.scrypt(text.encode(), salt=salt.encode(), n=2**14, r=8, p=1, dklen=4).hex()


def authority_file(settings: Settings, host: str) -> Path:
    """Where on the controller the certificate of the authority of ``host``'s cache is put."""
    return Path(settings.registry_cache_ca_file or f"registry-cache-{host}.crt").expanduser().absolute()


def lacks_authority(plan: CachePlan, facts: Host, authority: Path) -> bool:
    """Whether a host that is as planned has a certificate that the controller's file is not."""
    texts = {file.path: file.text for file in facts.registry_cache.files} if facts.registry_cache else {}
    return bool(plan.upstreams) and AUTHORITY in texts and _read(authority).strip() != texts[AUTHORITY].strip()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def fetch_authority(state: State, host: PyinfraHost, access: Access, authority: Path) -> bool:
    """Read the certificate on the host and write it here where it is another. False, with the reason logged, else."""
    done, output = run_now(host.connector, access.ask(f'{load_script()}\ncat "$1"', AUTHORITY))
    text = output.stdout + "\n"
    seen = (
        "" if done and text.startswith("-----BEGIN CERTIFICATE-----") else f"{AUTHORITY} on the host: {output.output}"
    )
    try:
        if not seen and _read(authority) != text:
            authority.write_text(text)
    except OSError as error:
        seen = f"{authority}: {error.strerror}"
    if seen:
        brief = "the certificate of the cache's authority was not brought here"
        remedy = "run this again, or copy that file; set registry_cache_ca_file to a path that you may write"
        host.log(f"{brief}\n  seen: {seen}\n  to do: {remedy}", log_func=logger.error)
        return False
    host.log(f"the certificate of the cache's authority is {authority}: set images_mirror_ca to it for the fleet")
    return True
