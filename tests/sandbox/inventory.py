"""pyinfra host data of the simulated hosts, for ``inventories/sandbox.py`` and for tests with hosts of their own."""

from __future__ import annotations

from typing import Any

from tests.sandbox.rpm_standins import RELEASES
from tests.sandbox.state import CHECKOUT, FOLDER, RunningHost, State
from tests.sandbox.vendors import PROXY_PORT

FLEET = ("server", "jetson", "wsl")  # each is the name of a host and of its kind
PROOF_IMAGE = "docker.io/library/python:3.12-slim"
# What the fleet's owner wishes for each kind of machine, beside what all get.
WISHES: dict[str, dict[str, Any]] = {
    "server": {"reboot": "when-needed", "images": ["cuda 12.6 base"]},
    "jetson": {"nvidia_toolkit_jetson": "upgrade", "images": ["l4t-jetpack"]},
    "wsl": {"images": ["nvidia/cuda:12.6.3-base-ubuntu24.04"]},
    "debian": {"images": []},
    "ubuntu": {"reboot": "when-needed", "images": []},
    "rocky": {"reboot": "when-needed", "images": []},
    "rocky10": {"reboot": "when-needed", "images": []},
}


def host_data(host: RunningHost, state: State) -> dict[str, Any]:
    """Data of one host for a pyinfra inventory: how to log in, the sandbox's keys, images by digest."""
    data = {
        **WISHES[host.kind],
        "ssh_hostname": host.address,
        "ssh_user": host.user,
        "ssh_key": str(CHECKOUT / state.ssh_key),
        "ssh_known_hosts_file": str(CHECKOUT / state.known_hosts),
        "docker_key_fingerprint": state.fingerprints["docker-rpm" if host.kind in RELEASES else "docker"],
        "nvidia_toolkit_key_fingerprint": state.fingerprints["toolkit"],
        "nvidia_driver_key_fingerprint": state.fingerprints.get(f"driver-{host.kind}", state.fingerprints["driver"]),
        "images": [_pin(image, state) for image in WISHES[host.kind]["images"]],
        "gpu_proof_image": f"{PROOF_IMAGE}@{state.images[PROOF_IMAGE]}",
    }
    if host.sudo_password_file:
        data["sudo_password_file"] = str(CHECKOUT / host.sudo_password_file)
    return data


def _pin(image: str, state: State) -> str:
    """A reference by its digest as well; what is wanted in other words stays as it is."""
    return f"{image}@{state.images[image]}" if image in state.images else image


def controller_environment(state: State, client: str = "") -> dict[str, str]:
    """What leads the machine that runs pyinfra to the simulated registries: environment variables of ``requests``.

    To the registries it is the client of that name, or of its address.
    """
    user = f"{client}:@" if client else ""
    return {
        "HTTPS_PROXY": f"http://{user}{state.vendors}:{PROXY_PORT}",
        "NO_PROXY": state.network,
        "REQUESTS_CA_BUNDLE": str(FOLDER / "vendors/tls/ca.crt"),
    }


def fleet_of(state: State) -> list[tuple[str, dict[str, Any]]]:
    """The demo's fleet as a pyinfra group; hosts that tests started beside it are left out."""
    data = {name: host_data(state.hosts[name], state) for name in FLEET if name in state.hosts}
    if "server" in data:
        data["server"]["containers"] = {"see": {"kind": "hello_gpu"}}
    return list(data.items())
