"""One server's driver through everything that can be wished of it, told once for many tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.harness import Controller, Machine, Run, data_of, machine

DEPLOY = "deploys/driver.py"

# A package of the site's own, which cannot be installed beside the driver.
ADD_SITE_PACKAGE = """
mkdir -p /run/site/DEBIAN
cat >/run/site/DEBIAN/control <<END
Package: site-cuda
Version: 1
Architecture: all
Maintainer: site
Conflicts: libcuda1
Description: ours
END
dpkg-deb --build /run/site /run/site.deb && dpkg --install /run/site.deb
"""
# A process that has the GPU's device open. Nothing answers behind the device here, so it is opened without access.
OPEN_GPU = """
perl='sysopen(F, "/dev/nvidia0", 010000000) or die; sleep 600'
setsid perl -e "$perl" </dev/null >/dev/null 2>&1 &
echo $! >/run/user-of-gpu
until ls -l /proc/*/fd 2>/dev/null | grep -q /dev/nvidia0; do sleep 0.1; done
"""
CLOSE_GPU = (
    'kill "$(cat /run/user-of-gpu)"; while ls -l /proc/*/fd 2>/dev/null | grep -q /dev/nvidia0; do sleep 0.1; done'
)
LOOK = """
echo "loaded $(cat /sys/module/nvidia/version 2>/dev/null)"
echo "on_disk $(modinfo -F version nvidia 2>/dev/null)"
echo "licence $(modinfo -F license nvidia 2>/dev/null)"
echo "owner $(basename "$(readlink /sys/bus/pci/devices/0000:17:00.0/driver)")"
echo "persistenced $(systemctl is-enabled nvidia-persistenced 2>/dev/null) $(systemctl is-active nvidia-persistenced)"
echo "pin $(grep Pin: /etc/apt/preferences.d/nvidia-driver-pin 2>/dev/null)"
echo "ours $(find /etc/apt/preferences.d /etc/modprobe.d -name 'gpu-hosts-*' | sort | tr '\\n' ' ')"
echo "held $(apt-mark showhold | tr '\\n' ' ')"
echo "packages $(dpkg-query -W -f '${Package}=${Version}\\n' | grep -E '(nvidia|libcuda1).*=[0-9]' | tr '\\n' ' ')"
"""
REBOOT_IF_IDLE = """
from deploys.areas.access import Access
from deploys.areas.reboot import reboot_if_due

reboot_if_due(name="Reboot if idle", access=Access(root=True), even_in_use=False)
"""


@dataclass(frozen=True)
class Change:
    """A wish and its second run, and what the host was like in between."""

    first: Run
    second: Run
    left: Mapping[str, str]
    restarts: int


@dataclass(frozen=True)
class Story:
    """What became of each wish, in this order, on a server that began bare."""

    name: str
    site_package: Run
    site_package_left: Mapping[str, str]
    exact: Change  # 580.95.05, by a reboot
    busy: Run  # 580.178.04 was wished while a process had the GPU open
    busy_left: Mapping[str, str]
    in_use: Run  # the same while the kernel used the module: installed, and not loaded
    in_use_left: Mapping[str, str]
    not_idle: Run  # a reboot if idle, with a process that has the GPU open
    not_idle_restarts: int
    upgrade: Change  # the same once more, by loading anew
    production: Change  # 595 with proprietary modules, by loading anew
    lts: Change  # 580 with open ones again, by a reboot
    absent: Change


@contextmanager
def tell_driver_story(controller: Controller, folder: Path) -> Iterator[Story]:
    """Start the server and let it happen."""
    with machine("server", "t-driver") as server:
        yield _tell(server, controller, folder)


def _tell(server: Machine, controller: Controller, folder: Path) -> Story:
    newer = {"nvidia_driver_branch": "580.178.04", "nvidia_driver_reload": True, "reboot": "never"}
    server.sh(ADD_SITE_PACKAGE)
    site_package, site_package_left = _wish(server, controller, {"reboot": "when-needed"}), look(server)
    server.sh("dpkg --purge site-cuda")
    exact = _change(server, controller, {"nvidia_driver_branch": "580.95.05", "reboot": "when-needed"})
    server.sh(OPEN_GPU)
    busy, busy_left = _wish(server, controller, newer), look(server)
    server.sh(CLOSE_GPU)
    count_user(server, 1)
    in_use, in_use_left = _wish(server, controller, newer), look(server)
    server.sh(OPEN_GPU)
    (folder / "reboot_if_idle.py").write_text(REBOOT_IF_IDLE)
    not_idle = controller.run(data_of(server), str(folder / "reboot_if_idle.py"), "-y")
    not_idle_restarts = server.restarts
    server.sh(CLOSE_GPU)
    count_user(server, -1)
    production = {"nvidia_driver_branch": "production", "nvidia_driver_modules": "proprietary"}
    return Story(
        name=server.name,
        site_package=site_package,
        site_package_left=site_package_left,
        exact=exact,
        busy=busy,
        busy_left=busy_left,
        in_use=in_use,
        in_use_left=in_use_left,
        not_idle=not_idle,
        not_idle_restarts=not_idle_restarts,
        upgrade=_change(server, controller, newer),
        production=_change(server, controller, {**production, "nvidia_driver_reload": True, "reboot": "when-idle"}),
        lts=_change(
            server,
            controller,
            {"nvidia_driver_branch": "lts", "nvidia_driver_modules": "open", "reboot": "when-needed"},
        ),
        absent=_change(server, controller, {"nvidia_driver": "absent", "reboot": "when-idle"}),
    )


def look(server: Machine) -> dict[str, str]:
    """What there is of a driver."""
    pairs = (line.partition(" ") for line in server.sh(LOOK).splitlines())
    return {key: value.strip() for key, _, value in pairs}


def count_user(server: Machine, number: int) -> None:
    """One more, or one less, user of the kernel's own of the loaded module."""
    file = "/sys/module/nvidia/refcnt"
    server.write(file, f"{int(server.read(file)) + number}\n")


def _wish(server: Machine, controller: Controller, wish: Mapping[str, object]) -> Run:
    inventory = data_of(server)
    inventory[server.name].update(wish)
    return controller.run(inventory, DEPLOY, "-y")


def _change(server: Machine, controller: Controller, wish: Mapping[str, object]) -> Change:
    first = _wish(server, controller, wish)
    left, restarts = look(server), server.restarts
    return Change(first, _wish(server, controller, wish), left, restarts)
