"""Who we are at registries. A password is read once and is in no text that is ever shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from deploys.areas.passwords import password_of_environment, password_of_file
from deploys.planning.settings import Credential, Problem


@dataclass(frozen=True)
class Secret:
    """User and password at one registry. nvcr.io's user is ``$oauthtoken``, its password an NGC API key."""

    username: str
    password: str = field(repr=False)


def read_credentials(wanted: Mapping[str, Credential], setting: str) -> dict[str, Secret] | Problem:
    """The passwords of ``wanted``, by registry; or the first that cannot be had, as a problem of ``setting``."""
    found = {}
    for registry, credential in wanted.items():
        if credential.password_env:
            password = password_of_environment(credential.password_env, setting)
        else:
            password = password_of_file(credential.password_file or "", setting)
        if isinstance(password, Problem):
            return Problem(setting, f"{registry}: {password.reason}")
        found[registry] = Secret(credential.username, password)
    return found
