"""A host's session: its settings read, with what they name on the controller; its way to root, its facts."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from io import StringIO
from pathlib import Path

from gevent import get_hub  # type: ignore[import-untyped]
from pyinfra.api.host import Host as PyinfraHost

from deploys.areas.access import Access, read_module_key_password, read_password
from deploys.areas.archives import read_archive
from deploys.areas.registry_cache import CacheSecrets, check_secrets, mark_secrets
from deploys.planning.catalogue import Catalogue, load_catalogue
from deploys.planning.container_settings import ComposeFile, Modelbox
from deploys.planning.image_catalogue import extend_catalogue
from deploys.planning.image_plan import LocalFiles
from deploys.planning.records import Archive
from deploys.planning.settings import Problem, Settings, read_settings
from deploys.registry.credentials import Secret, read_credentials
from facts.host import HostProbe
from facts.model import Host

_one_reader = threading.Lock()


@dataclass(frozen=True)
class Secrets:
    """What the settings only say the place of, as it was read on the controller."""

    module_key_password: str | None = field(default=None, repr=False)
    registries: Mapping[str, Secret] = field(default_factory=dict, repr=False)
    cache: CacheSecrets = field(default_factory=CacheSecrets, repr=False)


@dataclass(frozen=True)
class Session:
    """What a run knows of a host before it plans."""

    settings: Settings
    access: Access
    facts: Host
    catalogue: Catalogue
    files: LocalFiles = field(default_factory=LocalFiles)
    secrets: Secrets = field(default_factory=Secrets, repr=False)


def open_session(host: PyinfraHost) -> tuple[Session, tuple[Problem, ...]]:
    """Read the settings and probe the host once. With problems in the settings, the host is not asked anything."""
    # pyinfra's own sudo would wrap ours, and would put the password into the host's process list.
    given = host.data.get("_sudo_password")
    host.data._sudo = False
    host.data._sudo_password = None
    data: dict[str, object] = host.data.dict()  # type: ignore[no-untyped-call]
    settings = read_settings(data)
    if not isinstance(settings, Settings):
        return closed_session(), settings
    read = (
        read_password(settings, given),
        _read_secrets(settings),
        _read_files(settings),
        _read_catalogue(settings),
    )
    password, secrets, files, catalogue = read
    if (
        isinstance(password, Problem)
        or isinstance(secrets, Problem)
        or isinstance(files, Problem)
        or isinstance(catalogue, Problem)
    ):
        return closed_session(), tuple(one for one in read if isinstance(one, Problem))
    files = replace(files, cache_marks=tuple(mark_secrets(secrets.cache).items()))
    facts = probe(host, Access(root=False, password=password))
    access = Access(root=facts.user == "root", password=password)
    return Session(settings, access, facts, catalogue, files, secrets), ()


def probe(host: PyinfraHost, access: Access) -> Host:
    """Run the probe once: one exec, as root wherever the user can become it."""
    if access.password is None:
        return host.get_fact(HostProbe)
    # As a file: pyinfra logs a fact's arguments as text when it is asked to be talkative, and so it logs no password.
    return host.get_fact(HostProbe, sudo_from_stdin=True, _stdin=StringIO(access.password))


def closed_session() -> Session:
    """The session of a host that was not asked anything."""
    return Session(Settings(), Access(root=True), Host(probe=0), load_catalogue())


def _read_secrets(settings: Settings) -> Secrets | Problem:
    key_password = read_module_key_password(settings)
    registries = read_credentials(settings.images_credentials, "images_credentials")
    upstreams = read_credentials(settings.registry_cache_credentials, "registry_cache_credentials")
    clients = read_credentials(settings.registry_cache_clients, "registry_cache_clients")
    if isinstance(key_password, Problem):
        return key_password
    if isinstance(registries, Problem):
        return registries
    if isinstance(upstreams, Problem):
        return upstreams
    if isinstance(clients, Problem):
        return clients
    cache = CacheSecrets(upstreams, clients)
    return check_secrets(cache) or Secrets(key_password, registries, cache)


def _read_files(settings: Settings) -> LocalFiles | Problem:
    archives: list[Archive] = []
    for path in settings.images_archives:
        # All hosts want the same: whoever waits finds it read. A thread's work keeps no other host waiting.
        with _one_reader:
            archive = get_hub().threadpool.apply(read_archive, (Path(path).expanduser(),))
        if isinstance(archive, Problem):
            return archive
        archives.append(archive)
    ca = _read_text("images_mirror_ca", settings.images_mirror_ca)
    if isinstance(ca, Problem):
        return ca
    texts: list[tuple[str, str]] = []
    for path in _paths_of_containers(settings):
        text = _read_text("containers", path)
        if isinstance(text, Problem):
            return text
        texts.append((path, text or ""))
    return LocalFiles(ca, tuple(archives), tuple(texts))


def _paths_of_containers(settings: Settings) -> tuple[str, ...]:
    """The files of the owner's that the wished containers are made of."""
    wishes = settings.containers.values()
    keys = [wish.authorized_keys for wish in wishes if isinstance(wish, Modelbox) and wish.authorized_keys]
    return (*keys, *(wish.file for wish in wishes if isinstance(wish, ComposeFile)))


def _read_catalogue(settings: Settings) -> Catalogue | Problem:
    text = _read_text("images_catalogue", settings.images_catalogue)
    if isinstance(text, Problem):
        return text
    try:
        return _extended(text) if text else load_catalogue()
    except ValueError as error:
        return Problem("images_catalogue", f"{settings.images_catalogue}: {error}")


@cache
def _extended(text: str) -> Catalogue:
    """All hosts of a group have the same tables: they are checked once."""
    return extend_catalogue(load_catalogue(), text)


def _read_text(setting: str, path: str | None) -> str | Problem | None:
    if path is None:
        return None
    try:
        return Path(path).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        return Problem(setting, f"{path} cannot be read: {getattr(error, 'strerror', None) or error}")
