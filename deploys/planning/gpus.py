"""From GPUs to the driver that serves them all: branch and kind of kernel modules, or a refusal that names the GPU."""

from __future__ import annotations

from dataclasses import dataclass

from deploys.planning.catalogue import Branch, Catalogue, GpuRange
from deploys.planning.records import Area, Refusal
from deploys.planning.settings import Settings
from facts.model import Gpu, Host, ModuleFlavour

REQUIRED = {"open": ModuleFlavour.OPEN, "proprietary": ModuleFlavour.PROPRIETARY}


@dataclass(frozen=True)
class Gpus:
    """The host's own GPUs with their rows of the catalogue."""

    rows: tuple[tuple[Gpu, GpuRange], ...]

    @property
    def kinds(self) -> set[str]:
        """The rows' ``modules``: what kinds of kernel modules they take."""
        return {row.modules for _, row in self.rows}

    def __str__(self) -> str:
        return ", ".join(f"{gpu.device:#06x} at {gpu.address} ({row.name})" for gpu, row in self.rows)

    def not_driven_by(self, branch: str, flavour: ModuleFlavour | None) -> Gpus:
        """Those that a driver of this branch with these modules (None: it is not known which) does not drive."""
        return Gpus(tuple((gpu, row) for gpu, row in self.rows if not _is_driven(row, branch, flavour)))


def _is_driven(row: GpuRange, branch: str, flavour: ModuleFlavour | None) -> bool:
    return row.is_served_by(branch) and flavour in (None, REQUIRED.get(row.modules, flavour))


@dataclass(frozen=True)
class Choice:
    """The driver to install: its branch, its modules, and why those."""

    branch: Branch
    flavour: ModuleFlavour
    because: str


def find_gpus(host: Host, catalogue: Catalogue) -> Gpus | Refusal:
    """The GPUs a driver is for: NVIDIA's, less those that are passed through to virtual machines."""
    if host.gpus is None:
        seen = "no /sys/bus/pci/devices"
        return Refusal(Area.DRIVER, "the PCI devices cannot be read", seen, "run as root on the real host")
    if not host.gpus:
        return Refusal(
            Area.DRIVER,
            "there is no NVIDIA GPU in this machine",
            "no display controller of vendor 0x10de under /sys/bus/pci/devices",
            "check that the card is seated, powered and enabled in the firmware; or take the host out of the inventory",
        )
    own = [gpu for gpu in host.gpus if gpu.bound_driver != "vfio-pci"]
    if not own:
        return Refusal(
            Area.DRIVER,
            "the GPU is passed through to virtual machines",
            ", ".join(f"{gpu.address} is bound to vfio-pci" for gpu in host.gpus),
            "provision the virtual machine, or take the GPU back from it first",
        )
    return Gpus(tuple((gpu, _range_of(gpu, catalogue)) for gpu in own))


def _range_of(gpu: Gpu, catalogue: Catalogue) -> GpuRange:
    """The first matching row: narrower ranges stand before wider ones. The last row catches every older id."""
    return next(row for row in catalogue.gpus if row.first <= gpu.device <= row.last)


def choose_driver(
    settings: Settings, gpus: Gpus, catalogue: Catalogue, *, offered: tuple[str, ...]
) -> Choice | Refusal:
    """The branch and the modules that drive all the GPUs and agree with the settings.

    ``offered`` are the branches that the host's system has packages of.
    """
    flavour = _choose_flavour(settings, gpus)
    if isinstance(flavour, Refusal):
        return flavour
    served = [row for row in catalogue.branch if all(gpu.is_served_by(row.branch) for _, gpu in gpus.rows)]
    if not served:
        return Refusal(
            Area.DRIVER,
            "no supported driver branch serves these GPUs",
            str(gpus),
            "use a newer GPU; NVIDIA has ended the branches that drove these",
        )
    branch = _choose_branch(settings.nvidia_driver_branch, [row for row in served if row.branch in offered], gpus)
    return branch if isinstance(branch, Refusal) else Choice(branch, flavour, _why_flavour(settings, gpus))


def agrees(wish: str, version: str, catalogue: Catalogue) -> bool:
    """Whether a driver of this version is what the setting nvidia_driver_branch wishes for."""
    branch = version.split(".")[0]
    kinds = {row.branch: row.kind for row in catalogue.branch}
    return wish in ("auto", branch, version, kinds.get(branch))


def _choose_flavour(settings: Settings, gpus: Gpus) -> ModuleFlavour | Refusal:
    wish = settings.nvidia_driver_modules
    required = [REQUIRED[kind] for kind in gpus.kinds if kind in REQUIRED]
    if len(required) > 1:
        return Refusal(
            Area.DRIVER,
            "no one driver serves these GPUs together: one needs open modules, another proprietary ones",
            str(gpus),
            "take one of them out of the machine",
        )
    if required and wish not in ("auto", required[0]):
        return Refusal(
            Area.DRIVER,
            f"these GPUs do not work with {wish} modules",
            str(gpus),
            f'set nvidia_driver_modules = "{required[0]}", or leave it at auto',
        )
    return required[0] if required else REQUIRED["open" if wish == "auto" else wish]


def _why_flavour(settings: Settings, gpus: Gpus) -> str:
    if "proprietary" in gpus.kinds:
        return "the GPU has no GSP, which open modules need"
    if "open" in gpus.kinds:
        return "no others drive this GPU"
    if settings.nvidia_driver_modules != "auto":
        return f"nvidia_driver_modules is {settings.nvidia_driver_modules}"
    return "NVIDIA's own choice from Turing on"


def _choose_branch(wish: str, rows: list[Branch], gpus: Gpus) -> Branch | Refusal:
    """auto: the newest branch with long-term support, else the newest; a version: its branch."""
    branch = wish.split(".")[0]
    wished = [row for row in rows if branch in ("auto", row.branch, row.kind)]
    if not wished:
        names = ", ".join(f"{row.branch} ({row.kind})" for row in rows) or "none"
        return Refusal(
            Area.DRIVER,
            f"driver {wish} cannot be had for these GPUs on this system",
            f"{gpus}; branches that drive them and are packaged here: {names}",
            "set nvidia_driver_branch to one of them, or leave it at auto",
        )
    return max(wished, key=lambda row: (branch == "auto" and row.kind == "lts", int(row.branch)))
