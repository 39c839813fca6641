"""The host's facts for pyinfra: one probe, one SSH round trip, one record; and views of its parts.

``pyinfra INVENTORY fact facts.host.HostProbe`` prints everything as JSON, ``facts.host.Jetson`` and the other
views one part. Every view runs the probe again: code asks for ``HostProbe`` once and passes the record on.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from pyinfra.api.exceptions import FactProcessError
from pyinfra.api.facts import FactBase, ShortFactBase

from .model import Host
from .parse import parse_probe
from .printing import printable

PROBE = Path(__file__).with_name("probe.sh")

# sudo's own messages are thrown away: pyinfra takes "a password is required" for a prompt and would ask at
# the terminal. The probe always exits 0, so a sudo that fails has not run it; then it runs without privilege.
RUN = """unset ROOT
probe={probe}
user=$(id -un)
set -- "$probe" probe "$user" "${{SSH_CONNECTION-}}"
if [ "$(id -u)" -eq 0 ]; then sh -c "$@"
elif {sudo} sh -c "$@" 2>/dev/null; then :
else sh -c "$@"
fi
exit 0"""


def probe_text() -> str:
    """The probe without its full-line comments, which need not travel."""
    lines = PROBE.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


class HostProbe(FactBase[Host]):
    """Everything that is true of the host, as a ``facts.model.Host``; ``probe == 0`` where that failed."""

    @staticmethod
    def default() -> Host:
        """A record that every planner refuses."""
        return Host(probe=0)

    def command(self, sudo_from_stdin: bool = False) -> str:
        """The probe as root; through sudo without a password where that works; else as the user.

        With ``sudo_from_stdin`` sudo reads the password from standard input: pass it as pyinfra's ``_stdin``.
        """
        sudo = "sudo -S -k -p ''" if sudo_from_stdin else "sudo -n"
        return RUN.format(probe=shlex.quote(probe_text()), sudo=sudo)

    def process(self, output: list[str]) -> Host:
        """Parse the answer. Raises ``FactProcessError`` only: anything else would stop the whole fleet."""
        try:
            return parse_probe("\n".join(output))
        except Exception as error:
            raise FactProcessError(f"the probe's answer cannot be read: {error!r}") from error


class View(ShortFactBase[object]):
    """One part of the host's record as JSON types, for people and for ``pyinfra … fact``."""

    fact = HostProbe
    part: str

    def process_data(self, data: Host) -> object:
        """The part of the record that ``part`` names."""
        return printable(getattr(data, self.part))


class Platform(View):
    """The kind of machine, and what says so."""

    part = "platform"


class Os(View):
    """The distribution."""

    part = "os"


class Kernel(View):
    """The running kernel and the one that boots next."""

    part = "kernel"


class Gpus(View):
    """NVIDIA's display controllers on the PCI bus."""

    part = "gpus"


class Driver(View):
    """The NVIDIA driver: loaded, on disk, as a library."""

    part = "driver"


class Jetson(View):
    """The Jetson module and its L4T release; null on other machines."""

    part = "jetson"


class Wsl(View):
    """The WSL distribution; null on other machines."""

    part = "wsl"


class Docker(View):
    """Docker Engine, its containers and images."""

    part = "docker"


class Toolkit(View):
    """NVIDIA Container Toolkit."""

    part = "toolkit"


class Sshd(View):
    """The SSH server's X11 settings and where they are set."""

    part = "sshd"


class Cameras(View):
    """Video device nodes."""

    part = "cameras"


class Devices(View):
    """USB, sound cards, the groups that own devices, and what CSI cameras need."""

    part = "devices"


class Listeners(View):
    """What listens on TCP."""

    part = "listeners"


class Packages(View):
    """The package manager's state and sources."""

    part = "packages"


class Proof(View):
    """The last GPU proof that a run recorded on the host; null where there is none."""

    part = "proof"
