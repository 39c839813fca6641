"""The host's GPUs with their rows of the catalogue, or why there is none that a driver could be installed for."""

from __future__ import annotations

from dataclasses import dataclass

from deploys.planning.catalogue import Catalogue, GpuRange
from deploys.planning.records import Area, Refusal
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

    def are_served_by(self, branch: str) -> bool:
        """Whether drivers of this branch know them all."""
        return all(row.is_served_by(branch) for _, row in self.rows)

    def not_driven_by(self, branch: str, flavour: ModuleFlavour | None) -> Gpus:
        """Those that a driver of this branch with these modules (None: it is not known which) does not drive."""
        return Gpus(tuple((gpu, row) for gpu, row in self.rows if not _is_driven(row, branch, flavour)))


def _is_driven(row: GpuRange, branch: str, flavour: ModuleFlavour | None) -> bool:
    # Before 515 there was one kind of modules, and GPUs that take either were driven by it.
    return row.is_served_by(branch) and flavour in (None, REQUIRED.get(row.modules, flavour))


def find_integrated(host: Host, catalogue: Catalogue) -> str | None:
    """A GPU that is part of a chip whose maker brings the driver (Thor, GB10), as "0x2e12 at …", or None."""
    found = (gpu for gpu in host.gpus or () if _range_of(gpu, catalogue).modules == "integrated")
    return next((f"{gpu.device:#06x} at {gpu.address}" for gpu in found), None)


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


def refuse_vgpu(host: Host, catalogue: Catalogue) -> Refusal | None:
    """Why no driver is installed for a virtual GPU: its guest driver is not in any public repository."""
    virtual = [gpu for gpu in host.gpus or () if catalogue.vgpu.has(gpu.device, gpu.subsystem)]
    if not virtual:
        return None
    return Refusal(
        Area.DRIVER,
        "the GPU is a virtual one (NVIDIA vGPU), and its guest driver is in no public repository",
        ", ".join(f"{gpu.device:#06x} at {gpu.address} with subsystem {gpu.subsystem}" for gpu in virtual),
        "install the vGPU guest driver of the hypervisor's vGPU release, from NVIDIA's licensing portal or your cloud; "
        "a later run keeps it, where the settings nvidia_driver_… leave it as it is",
    )


def _range_of(gpu: Gpu, catalogue: Catalogue) -> GpuRange:
    """The first matching row: narrower ranges stand before wider ones. The last row catches every older id."""
    return next(row for row in catalogue.gpus if row.has(gpu.device))
