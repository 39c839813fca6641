"""Which kind of machine it is, which distribution, who asked, and the last GPU proof."""

from __future__ import annotations

import io
import ipaddress
import re

from distro import LinuxDistribution

from ..model import Attempt, Os, Platform, PlatformKind, Proof
from .answer import Answer, to_int
from .tegra import compatible, is_tegra, l4t_release, tree_model
from .wsl import wsl_version

ARM64 = ("aarch64", "arm64")
# Bridges that Docker makes: its own, those of its networks, of swarms (moby, libnetwork/drivers/bridge).
DOCKERS = re.compile(r"docker0|docker_gwbridge|br-[0-9a-f]{12}|veth.*")
DGX_SPARK_GPU = "0x2e12"  # PCI device id of GB10's GPU


def pid1_start(answer: Answer) -> str:
    """Field 22 of /proc/1/stat (proc(5)): PID 1's start in ticks. A restart of a container changes it."""
    fields = (answer.first("host", "pid1_stat") or "").split()
    return fields[19] if len(fields) > 19 else ""


def login_user(answer: Answer) -> str:
    """The user who logged in; where the probe was not told, the one whom ``id`` names."""
    match = re.match(r"uid=(\d+)(?:\(([^)]*)\))?", answer.first("host", "id") or "")
    return answer.first("host", "user") or (match[2] or match[1] if match else "")


def ran_as_root(answer: Answer) -> bool:
    """Whether the probe itself had root's rights, as ``id`` says."""
    return bool(re.match(r"uid=0\b", answer.first("host", "id") or ""))


def read_addresses(answer: Answer) -> tuple[str, ...]:
    """IP addresses that others may reach the host by: no loopback, no link-local, none of Docker's bridges.

    Where only `hostname -I` is there, which names no interfaces, the address of Docker's own bridge is left out.
    """
    rows = (value.split() for value in answer.all("host", "address"))
    found = [
        row[3].partition("/")[0] for row in rows if len(row) > 3 and not DOCKERS.fullmatch(row[1].partition("@")[0])
    ]
    named = (answer.first("host", "hostname_addresses") or "").split()
    found += [address for address in named if address != "172.17.0.1"]
    return tuple(dict.fromkeys(filter(is_reachable, found)))


def is_reachable(text: str) -> bool:
    """Whether a text is an IP address that is good beyond its own link."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_link_local or address.is_unspecified)


def cgroup_version(answer: Answer) -> int | None:
    """2 where /sys/fs/cgroup is one hierarchy (Linux, cgroup-v2.rst), 1 where it holds one for each controller."""
    if answer.marked("/sys/fs/cgroup/cgroup.controllers"):
        return 2
    return 1 if answer.marked("/sys/fs/cgroup/devices") else None


def count_cpus(answer: Answer) -> int | None:
    """Processors of the kernel's list of those online: ``0-3,8-11`` are 8."""
    ranges = re.findall(r"(\d{1,5})(?:-(\d{1,5}))?", answer.first("host", "cpus") or "")
    return sum(int(last or first) - int(first) + 1 for first, last in ranges) or None


def memory_size(answer: Answer) -> int | None:
    """Bytes, of ``MemTotal: 24684084 kB`` (proc(5): these are units of 1024)."""
    row = re.match(r"MemTotal:\s+(\d{1,15}) kB", answer.first("host", "memory") or "")
    return int(row[1]) * 1024 if row else None


def read_os(answer: Answer) -> Os:
    """The distribution, read from os-release by ``distro``'s own parser."""
    text = answer.files.get("/etc/os-release") or answer.files.get("/usr/lib/os-release") or ""
    try:
        # The only part of distro that reads a text instead of a path; what it gives is documented as
        # LinuxDistribution.os_release_info().
        release = LinuxDistribution._parse_os_release_content(io.StringIO(text))
    except ValueError:  # an unbalanced quote
        release = {}
    return Os(
        id=release.get("id", "").lower(),
        version=release.get("version_id", ""),
        codename=release.get("codename", ""),
        pretty_name=release.get("pretty_name", ""),
        package_architecture=answer.first("packages", "architecture"),
        like=tuple(release.get("id_like", "").lower().split()),
    )


def read_platform(answer: Answer) -> Platform:
    """Classify the machine. A plain container comes first, because it shows its host's kernel and boards.

    A container whose PID 1 is an init (LXD, Incus, systemd-nspawn) is a machine of its own and is classified
    like one.
    """
    architecture = answer.first("host", "machine") or ""
    kind, evidence = classify(answer, architecture)
    product, product_evidence = makers_product(answer)
    return Platform(kind, evidence + product_evidence, architecture, product)


def classify(answer: Answer, architecture: str) -> tuple[PlatformKind, tuple[str, ...]]:
    """The kind and the readings that say so; the first rule that holds wins."""
    in_container = container_evidence(answer)
    if in_container:
        return PlatformKind.CONTAINER, in_container
    version, evidence = wsl_version(answer)
    if version:
        return (PlatformKind.WSL1 if version == 1 else PlatformKind.WSL2), evidence
    tegra, evidence = is_tegra(answer)
    if tegra:
        return (PlatformKind.OTHER if foreign_tegra(answer) else PlatformKind.JETSON), evidence
    if architecture == "x86_64":
        return PlatformKind.X86_64, ("uname -m says x86_64",)
    if architecture in ARM64:
        return classify_arm64(answer, architecture)
    return PlatformKind.OTHER, (f"uname -m says {architecture or 'nothing'}",)


def container_evidence(answer: Answer) -> tuple[str, ...]:
    """What says that this is a container without an init of its own; empty where it is not."""
    init = answer.first("host", "init") or ""
    if init in ("", "systemd", "init") or init.startswith("init("):
        return ()
    found = tuple(f"{path} exists" for path in ("/.dockerenv", "/run/.containerenv") if answer.marked(path))
    return (*found, f"PID 1 is {init}") if found else ()


def classify_arm64(answer: Answer, architecture: str) -> tuple[PlatformKind, tuple[str, ...]]:
    """Arm servers describe themselves by ACPI (Arm BBR), boards such as the Raspberry Pi by a device tree."""
    entries = compatible(answer)
    said = f"uname -m says {architecture}"
    if answer.marked("/sys/firmware/acpi"):
        return PlatformKind.ARM64_SERVER, (said, "/sys/firmware/acpi exists")
    if entries and not entries[0].startswith("linux,dummy-virt"):
        return PlatformKind.OTHER, (said, f"device tree compatible says {entries[0]}")
    if l4t_release(answer):
        return PlatformKind.OTHER, (
            said,
            "/etc/nv_tegra_release without a Tegra device tree: a Jetson's container?",
        )
    return PlatformKind.ARM64_SERVER, (said, "no board in a device tree")


def makers_product(answer: Answer) -> tuple[str | None, tuple[str, ...]]:
    """The maker's product whose driver is not ours, and what says so."""
    foreign = foreign_tegra(answer)
    if foreign:
        return foreign, (f"device tree model says {tree_model(answer)}",) if tree_model(answer) else ()
    product = " ".join(answer.all("board", "dmi_product_name") + answer.all("board", "dmi_product_family"))
    if re.search(r"DGX[ _]Spark", product):
        return "DGX Spark (GB10)", (f"DMI product says {product}",)
    if any(DGX_SPARK_GPU in gpu for gpu in answer.all("gpus", "gpu")):
        return "GB10", (f"GPU {DGX_SPARK_GPU} is a GB10",)
    if answer.marked("/etc/dgx-release"):
        return "DGX OS", ("/etc/dgx-release exists",)
    return None, ()


def foreign_tegra(answer: Answer) -> str | None:
    """A Tegra that is no Jetson: NVIDIA's IGX and DRIVE, Nintendo's Switch."""
    if not is_tegra(answer)[0]:
        return None
    model, entries = tree_model(answer) or "", " ".join(compatible(answer))
    # p3740 is the IGX Orin carrier board, p3701-0002 its first module.
    if "IGX" in model or re.search(r"p3740-|p3701-0002", entries):
        return "IGX Orin" if "264" not in entries else "IGX Thor"
    if "DRIVE" in model or "-prod-" in (answer.first("host", "release") or ""):
        return "DRIVE OS"
    return "Nintendo Switch" if "nintendo" in f"{model} {entries}".lower() else None


def read_proof(answer: Answer) -> Proof | None:
    """The record of the last GPU proof; None where there is none or it is not whole."""
    lines = (answer.files.get("/var/lib/gpu-hosts/proof") or "").splitlines()
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    time, devices = to_int(values.get("time")), to_int(values.get("devices"))
    if time is None or devices is None:
        return None
    keys = ("result", "image", "driver", "boot", "mechanism", "names", "injected")
    words = {key: values.get(key, "") for key in keys}
    others = (line.removeprefix("also=").split("|") for line in lines if line.startswith("also="))
    attempts = tuple(Attempt(*parts) for parts in others if len(parts) == 3)
    return Proof(time=time, devices=devices, others=attempts, **words)
