"""How our commands become root on a host, with no secret in a process list, a log or a file there."""

from __future__ import annotations

import base64
import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from pyinfra.api.command import StringCommand
from pyinfra.connectors.base import BaseConnector
from pyinfra.connectors.util import CommandOutput

from deploys.areas.passwords import password_of_environment, password_of_file
from deploys.planning.settings import Problem, Settings

MARK = "gpu-hosts input"  # the line that templates/detach.sh waits for
TEMPLATES = Path(__file__).resolve().parents[1] / "templates"


@dataclass(frozen=True)
class Access:
    """root: logged in as root. password: for sudo, sent on standard input; None: sudo asks for none.

    pyinfra's own sudo arguments are not used: they put the password into the remote shell's command line.
    """

    root: bool
    password: str | None = field(default=None, repr=False)

    def ask(self, script: str, *arguments: str) -> StringCommand:
        """One remote command whose script reads no input.

        What is sent is thrown away first: a script that ended before would close the channel under pyinfra's writing.
        """
        return self.command(f"cat >/dev/null\n{script}", *arguments)

    def command(self, script: str, *arguments: str, stdin: str = "") -> StringCommand:
        """One remote command: ``script`` (sh text) as root with ``arguments``.

        Standard input carries the password where there is one, a mark, and ``stdin`` in base64. A sudo that asks for
        no password leaves its line unread: the script must skip everything up to the mark, as ``detach.sh`` does.
        """
        words = ["sh", "-c", script, "gpu-hosts", *arguments]
        lines = [MARK, base64.b64encode(stdin.encode()).decode()]
        if not self.root and self.password is None:
            words = ["sudo", "-n", "-H", "--", *words]
        elif not self.root:
            words = ["sudo", "-S", "-k", "-p", "", "-H", "--", *words]
            lines = [self.password or "", *lines]
        return StringCommand(shlex.join(words), _stdin=lines)


def run_now(connector: BaseConnector, command: StringCommand) -> tuple[bool, CommandOutput]:
    """Run a command made by ``Access`` outside any operation. Returns success and output."""
    return connector.run_shell_command(command, False, False, **command.connector_arguments)


def load_script(*names: str) -> str:
    """The text of templates put together, ``lib.sh`` first."""
    return "\n".join((TEMPLATES / f"{name}.sh").read_text() for name in ("lib", *names))


def load_detached(*names: str) -> str:
    """The same, wrapped to run to its end without the SSH connection. Its first argument is the area's name."""
    return load_script("detach").replace("@SCRIPT@", load_script(*names))


def read_password(settings: Settings, given: object) -> str | Problem | None:
    """The sudo password: ``given`` (pyinfra's own ``_sudo_password`` data), or from where the settings say."""
    if isinstance(given, str) and given:
        return given
    if settings.sudo_password_env:
        return password_of_environment(settings.sudo_password_env, "sudo_password_env")
    if settings.sudo_password_file:
        return password_of_file(settings.sudo_password_file, "sudo_password_file")
    return None


def read_module_key_password(settings: Settings) -> str | Problem | None:
    """The password under which DKMS' key is staged, from where the settings say."""
    if settings.nvidia_module_key_password_env is None:
        return None
    found = os.environ.get(settings.nvidia_module_key_password_env, "")
    # shim's menu takes no longer ones; Debian's own tool asks for as many.
    if 8 <= len(found) <= 16:
        return found
    seen = f"has {len(found)} characters" if found else "is not set"
    return Problem(
        "nvidia_module_key_password_env", f"the environment variable that it names {seen}; 8 to 16 are needed"
    )
