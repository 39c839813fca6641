"""NVIDIA Container Toolkit's packages of the sandbox, old and new: real names, versions, relations, files and units.

What the packages are like, and since when: packaging/ and deployments/systemd/ of NVIDIA/nvidia-container-toolkit at
the tags of these versions.
"""

from __future__ import annotations

from tests.sandbox.repository import Package
from tests.sandbox.standins import template

TOOLKIT_VERSIONS = ("1.17.4-1", "1.17.8-1", "1.19.1-1", "1.20.0-1")
JETPACK_TOOLKIT_VERSION = "1.16.2-1"
REFRESH_UNITS = ("nvidia-cdi-refresh.path", "nvidia-cdi-refresh.service")
REFRESH_SETTINGS = "/etc/nvidia-container-toolkit/nvidia-cdi-refresh.env"
FIRST_WITH_UNITS = (1, 18)  # and from there on all packages must be of one version
DAEMON_JSON = "/etc/docker/daemon.json"


def has_units(version: str) -> bool:
    """Whether the toolkit of this version refreshes CDI specifications by units of its own."""
    return tuple(int(part) for part in version.split(".")[:2]) >= FIRST_WITH_UNITS


def toolkit_packages(version: str) -> list[Package]:
    """The four packages of one version."""
    upstream = version.split("-")[0]

    def program(name: str) -> dict[str, bytes]:
        return {f"/usr/bin/{name}": template(name, {"VERSION": upstream})}

    same = "=" if has_units(version) else ">="
    base = "nvidia-container-toolkit-base"
    return [
        Package(
            "libnvidia-container1",
            version,
            "NVIDIA container runtime library",
            files={"/usr/share/doc/libnvidia-container1/simulated": b"no library in this stand-in\n"},
        ),
        Package(
            "libnvidia-container-tools",
            version,
            "NVIDIA container runtime library, command-line tools",
            relations={"Depends": f"libnvidia-container1 (>= {version})"},
            programs=program("nvidia-container-cli"),
        ),
        Package(
            base,
            version,
            "NVIDIA Container Toolkit, base",
            files={"/usr/lib/nvidia-container-toolkit/gpu-files": template("gpu-files"), **_refresh_files(version)},
            programs={
                **program("nvidia-container-runtime"),
                **program("nvidia-ctk"),
                **program("nvidia-cdi-hook"),
            },
            scripts=_base_scripts(version),
            conffiles=(REFRESH_SETTINGS,) if has_units(version) else (),
        ),
        Package(
            "nvidia-container-toolkit",
            version,
            "NVIDIA Container Toolkit",
            relations={"Depends": f"{base} (= {version}), libnvidia-container-tools ({same} {version})"},
            programs=program("nvidia-container-runtime-hook"),
        ),
    ]


def _refresh_files(version: str) -> dict[str, bytes]:
    if not has_units(version):
        return {}
    units = {f"/usr/lib/systemd/system/{unit}": template(unit) for unit in REFRESH_UNITS}
    return {**units, REFRESH_SETTINGS: b"# Settings of nvidia-ctk cdi generate (simulated)\n"}


def _base_scripts(version: str) -> dict[str, bytes]:
    if not has_units(version):
        return {"postinst": template("toolkit-base.postinst", {"UNITS": ""})}
    values = {"UNITS": " ".join(REFRESH_UNITS)}
    return {name: template(f"toolkit-base.{name}", values) for name in ("postinst", "prerm", "postrm")}


def nvidia_docker() -> Package:
    """The last nvidia-docker2 with content: its wrapper, and its daemon.json, which goes when the package is purged."""
    return Package(
        "nvidia-docker2",
        "2.13.0-1",
        "nvidia-docker CLI wrapper",
        relations={"Depends": "nvidia-container-toolkit (>= 1.13.0-1)"},
        files={DAEMON_JSON: template("nvidia-docker-daemon.json")},
        programs={"/usr/bin/nvidia-docker": b'#!/bin/sh\nexec docker "$@"\n'},
        conffiles=(DAEMON_JSON,),
    )
