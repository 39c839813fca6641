"""The fleet's whole story, told once for many tests: before, dry run, first run, second run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.e2e.harness import DEPLOY, Controller, Machine, Run, data_of, machine
from tests.e2e.snapshot import Snapshot, keep_me_pid, start_time, take_snapshot

BROKEN = '{\n  "log-driver": "json-file",\n  "labels": [\n}\n'  # what an administrator's slip leaves behind
DAEMON_JSON = "/etc/docker/daemon.json"
Snapshots = Mapping[str, Snapshot]


@dataclass(frozen=True)
class Fleet:
    """The hosts, provisioned, and what was seen on the way. ``refusing`` has a daemon.json that is not JSON."""

    server: Machine
    jetson: Machine
    wsl: Machine
    refusing: Machine
    pristine: Snapshots
    dry: Run
    after_dry: Snapshots
    began: Mapping[str, str]  # start time of each host's PID 1
    keep_me: int  # process id of the container on the WSL host
    daemon_json: str  # the WSL host's file as its administrator wrote it
    l4t_packages: str
    first: Run
    provisioned: Snapshots
    second: Run
    after_second: Snapshots

    @property
    def good(self) -> tuple[Machine, ...]:
        """The hosts that can be provisioned."""
        return self.server, self.jetson, self.wsl


@contextmanager
def start_fleet(controller: Controller) -> Iterator[Fleet]:
    """Start the hosts, and run the dry run, the first and the second one."""
    with ExitStack() as stack:
        server, jetson, wsl = (stack.enter_context(machine(kind, f"t-{kind}")) for kind in ("server", "jetson", "wsl"))
        refusing = stack.enter_context(machine("wsl", "t-refusing"))
        refusing.write(DAEMON_JSON, BROKEN)
        everyone, good = (server, jetson, wsl, refusing), (server, jetson, wsl)
        pristine = _look_at(everyone)
        dry = controller.run(data_of(*everyone), DEPLOY, "--dry")
        yield Fleet(
            server=server,
            jetson=jetson,
            wsl=wsl,
            refusing=refusing,
            pristine=pristine,
            dry=dry,
            after_dry=_look_at(everyone),
            began={one.name: start_time(one) for one in everyone},
            keep_me=keep_me_pid(wsl),
            daemon_json=wsl.read(DAEMON_JSON),
            l4t_packages=l4t_packages(jetson),
            first=controller.run(data_of(*everyone), DEPLOY, "-y"),
            provisioned=_look_at(good),
            second=controller.run(data_of(*good), DEPLOY, "-y"),
            after_second=_look_at(good),
        )


def l4t_packages(jetson: Machine) -> str:
    """The Jetson's L4T packages with versions and states."""
    return jetson.sh("dpkg-query -W -f '${Package} ${Version} ${db:Status-Abbrev}\\n' 'nvidia-l4t-*' nvidia-jetpack")


def _look_at(machines: tuple[Machine, ...]) -> dict[str, Snapshot]:
    return {one.name: take_snapshot(one) for one in machines}
