"""A host's session: its settings read, its way to root found, its facts probed."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import StringIO

from pyinfra.api.host import Host as PyinfraHost

from deploys.areas.access import Access, read_module_key_password, read_password
from deploys.planning.settings import Problem, Settings, read_settings
from facts.host import HostProbe
from facts.model import Host


@dataclass(frozen=True)
class Session:
    """What a run knows of a host before it plans."""

    settings: Settings
    access: Access
    facts: Host
    module_key_password: str | None = field(default=None, repr=False)


def open_session(host: PyinfraHost) -> tuple[Session, tuple[Problem, ...]]:
    """Read the settings and probe the host once. With problems in the settings, the host is not asked anything."""
    # pyinfra's own sudo would wrap ours, and would put the password into the host's process list.
    given = host.data.get("_sudo_password")
    host.data._sudo = False
    host.data._sudo_password = None
    data: dict[str, object] = host.data.dict()  # type: ignore[no-untyped-call]
    settings = read_settings(data)
    if not isinstance(settings, Settings):
        return _closed(), settings
    password = read_password(settings, given)
    if isinstance(password, Problem):
        return _closed(), (password,)
    key_password = read_module_key_password(settings)
    if isinstance(key_password, Problem):
        return _closed(), (key_password,)
    facts = probe(host, Access(root=False, password=password))
    return Session(settings, Access(root=facts.user == "root", password=password), facts, key_password), ()


def probe(host: PyinfraHost, access: Access) -> Host:
    """Run the probe once: one exec, as root wherever the user can become it."""
    if access.password is None:
        return host.get_fact(HostProbe)
    # As a file: pyinfra logs a fact's arguments as text when it is asked to be talkative, and so it logs no password.
    return host.get_fact(HostProbe, sudo_from_stdin=True, _stdin=StringIO(access.password))


def _closed() -> Session:
    return Session(Settings(), Access(root=True), Host(probe=0))
