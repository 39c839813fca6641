"""GPUs, their driver in its three places, kernels, Secure Boot, display."""

from __future__ import annotations

import re

from ..model import Display, Driver, Gpu, Kernel, ModuleFlavour
from .answer import Answer, to_int
from .packages import installed, pick, rpm_rows

DRIVER_PACKAGES = r".*nvidia.*|cuda-drivers.*|libcuda(debugger)?\d.*|libnv(cuvid|optix)\d|libnvsdm.*|nvlsm|nvlink5.*"
# The toolkit, L4T, CUDA's libraries, nouveau's firmware and whole kernels carry the name but are no part of a driver.
OTHER_PACKAGES = (
    r"(lib)?nvidia-(container|docker|l4t|jetpack|cuda(?!-mps)|cudnn|tensorrt|opencv|vpi|profiler|visual-profiler|nsight"
    r"|vaapi-driver|mig-manager|mig-parted|egl-wayland|openjdk|opencl-dev|ml-dev|fs|gds|gpu-firmware).*|firmware-nvidia-graphics|golang-.*"
    r"|linux-(?!(modules|objects|signatures)-nvidia).*|linux-modules-nvidia-fs-.*"
)

# Daemons that belong to the driver, and serve whoever uses the GPU.
DAEMONS = (
    *("nvidia-persiste", "nv-fabricmanage", "nvidia-cuda-mps", "nvidia-imex", "nvidia-powerd"),
    *("nv-hostengine", "dcgm-exporter"),
)
# What always shows a screen: a server's management controller (ASPEED, Matrox), a virtual machine's display, the
# firmware's frame buffer.
BMC_VENDORS = ("0x1a03", "0x102b")


def read_kernel(answer: Answer) -> Kernel:
    """The running kernel, the one that boots next, and those with headers."""
    return Kernel(answer.first("host", "release") or "", next_kernel(answer), answer.all("driver", "headers"))


def next_kernel(answer: Answer) -> str | None:
    """The newest kernel of /lib/modules with an image in /boot; images count only where /boot has any."""
    modules, images = answer.all("driver", "modules"), set(answer.all("driver", "vmlinuz"))
    bootable = [kernel for kernel in modules if kernel in images or not images]
    return max(bootable, key=version_key, default=None)


def version_key(version: str) -> tuple[tuple[int, int, str], ...]:
    """Order of kernel releases as boot loaders have it: numbers by value, letters after the version's end."""
    parts = re.findall(r"(\d{1,18})|([^\d.\-_+~]+)", version)
    return tuple((1, int(number), "") if number else (0, 0, word) for number, word in parts)


def read_gpus(answer: Answer) -> tuple[Gpu, ...] | None:
    """NVIDIA display controllers; None where there is no PCI bus to look at."""
    if not answer.first("gpus", "bus"):
        return None
    found = (parse_gpu(value) for value in answer.all("gpus", "gpu"))
    return tuple(gpu for gpu in found if gpu)


def parse_gpu(value: str) -> Gpu | None:
    """``0000:17:00.0 0x2330 0x10de:0x16c1 ../drivers/nvidia`` into a record."""
    address, device, subsystem, driver = [*value.split(), "", "", "", ""][:4]
    number = to_int(device, 16)
    if number is None:
        return None
    return Gpu(address, number, subsystem, driver.rsplit("/", 1)[-1] or None)


def read_nvswitches(answer: Answer) -> tuple[str, ...] | None:
    """PCI addresses of NVSwitches; None where there is no PCI bus to look at."""
    if not answer.first("gpus", "bus"):
        return None
    return tuple(value.split()[0] for value in answer.all("gpus", "nvswitch") if value.split())


def read_secure_boot(answer: Answer) -> bool | None:
    """Whether Secure Boot is on. A machine without EFI has none."""
    return {"1": True, "0": False, "none": False}.get(answer.first("gpus", "secure_boot") or "")


def read_driver(answer: Answer) -> Driver:
    """The driver as loaded, on disk for the running and the next kernel, and as a library."""
    kernel = read_kernel(answer)
    nvrm = answer.first("driver", "nvrm")
    packages = pick(installed(answer), DRIVER_PACKAGES, but=OTHER_PACKAGES)
    key, enrolled, staged = read_module_key(answer)
    versions, licenses = by_kernel(answer, "disk_version"), by_kernel(answer, "disk_license")
    return Driver(
        loaded_version=answer.first("driver", "loaded") or nvrm_version(nvrm),
        loaded_flavour=nvrm_flavour(nvrm),
        disk_version=versions.get(kernel.running),
        disk_flavour=license_flavour(licenses.get(kernel.running)),
        next_boot_version=versions.get(kernel.next_boot or ""),
        library_version=library_version(answer),
        packages=packages,
        nouveau_loaded=answer.marked("/sys/module/nouveau"),
        nova_core_loaded=answer.marked("/sys/module/nova_core"),
        kernel_log=answer.all("driver", "kernel_log"),
        run_file_installer=any(map(answer.marked, ("/usr/bin/nvidia-installer", "/usr/bin/nvidia-uninstall"))),
        vendors=tuple((name, vendor) for name, _, vendor, _ in rpm_rows(answer) if vendor and name in dict(packages)),
        changed=last_change(answer, {name for name, _ in packages}),
        users=read_users(answer),
        services=read_services(answer),
        mig=bool(answer.all("driver", "mig")),
        module_key=key,
        module_key_enrolled=enrolled,
        module_key_staged=staged,
        unfinished=answer.marked("/var/lib/gpu-hosts/driver/unfinished"),
    )


def read_users(answer: Answer) -> tuple[str, ...]:
    """Processes that have the GPU open, "python3 (pid 812)", less the driver's daemons (names end after 15 bytes)."""
    rows = (value.partition(" ") for value in answer.all("driver", "gpu_user"))
    return tuple(f"{name or '?'} (pid {pid})" for pid, _, name in rows if not name.startswith(DAEMONS))


def read_services(answer: Answer) -> tuple[tuple[str, str], ...]:
    """(unit, state) as `systemctl is-active` has it."""
    rows = (value.partition(" ") for value in answer.all("driver", "service"))
    return tuple((name, state or "unknown") for name, _, state in rows)


def last_change(answer: Answer, packages: set[str]) -> int | None:
    """When one of the driver's packages was installed or upgraded last: dpkg's lists of files, rpm's own record."""
    files = (value.partition(" ") for value in answer.all("driver", "changed"))
    times = [to_int(time) for time, _, path in files if re.sub(r"(:\w+)?\.list$", "", path.split("/")[-1]) in packages]
    times += [to_int(time) for name, _, _, time in rpm_rows(answer) if name in packages]
    return max((time for time in times if time is not None), default=None)


def read_module_key(answer: Answer) -> tuple[str | None, bool | None, bool]:
    """DKMS' public key, whether it is enrolled (None where mokutil gave no answer), whether it is about to be."""
    path, _, said = (answer.first("gpus", "module_key") or "").partition(" ")
    staged = "already in the enrollment request" in said
    enrolled = (
        True if re.search("already (enrolled|in db)", said) else False if staged or "not enrolled" in said else None
    )
    return path or None, enrolled, staged


def by_kernel(answer: Answer, key: str) -> dict[str, str]:
    """What modinfo says of the nvidia module, by kernel; of the first one where several answer."""
    found: dict[str, str] = {}
    for value in answer.all("driver", key):
        kernel, _, fact = value.partition(" ")
        found.setdefault(kernel, fact.strip())
    return found


def nvrm_version(line: str | None) -> str | None:
    """550.54.15 from the first line of /proc/driver/nvidia/version, in either flavour's wording."""
    match = re.search(r"Kernel Module(?: for \S+)?\s+(\d{3}(?:\.\d+)+)", line or "")
    return match[1] if match else None


def nvrm_flavour(line: str | None) -> ModuleFlavour | None:
    """``NVIDIA UNIX Open Kernel Module for …`` or ``NVIDIA UNIX x86_64 Kernel Module …``."""
    if not line or "Kernel Module" not in line:
        return None
    return ModuleFlavour.OPEN if "Open Kernel Module" in line else ModuleFlavour.PROPRIETARY


def license_flavour(text: str | None) -> ModuleFlavour | None:
    """The module's licence: ``Dual MIT/GPL`` is the open flavour, ``NVIDIA`` the other."""
    if not text:
        return None
    return ModuleFlavour.OPEN if "GPL" in text else ModuleFlavour.PROPRIETARY


def library_version(answer: Answer) -> str | None:
    """The version of the library that programs load; the link decides where several are installed.

    Tegra's and WSL's ``libcuda.so.1.1`` carry no driver version.
    """
    for path in answer.all("driver", "linked") + answer.all("driver", "library"):
        match = re.search(r"\.so\.(\d{3}(?:\.\d+)+)$", path)
        if match:
            return match[1]
    return None


def read_display(answer: Answer) -> Display:
    """Boot target, enabled display manager, connectors with a screen."""
    target, _, folder = (answer.first("display", "default_target") or "").partition(" ")
    manager = answer.first("display", "display_manager")
    connectors = (value.partition(" ") for value in answer.all("display", "connected"))
    return Display(
        default_target=target.rsplit("/", 1)[-1] or None,
        display_manager=manager.rsplit("/", 1)[-1].removesuffix(".service") if manager else None,
        connected=tuple(name for name, _, vendor in connectors if _is_screen(name, vendor)),
        target_chosen=folder.startswith("etc/"),
        sessions=read_sessions(answer),
    )


def _is_screen(connector: str, vendor: str) -> bool:
    """Whether somebody may look at it: card1-DP-1, and not card0-Virtual-1 or card0-Unknown-1."""
    return vendor not in BMC_VENDORS and not re.search(r"-(Virtual|Unknown|Writeback)-\d+$", connector)


def read_sessions(answer: Answer) -> tuple[str, ...]:
    """Users' live graphical sessions, from systemd-logind's own files; a login screen is none."""
    sessions = (dict(re.findall(r"(\w+)=(\S*)", value)) for value in answer.all("display", "session"))
    return tuple(
        f"{session.get('USER', '?')} ({session['TYPE']})"
        for session in sessions
        if session.get("TYPE") in ("x11", "wayland", "mir")
        and session.get("CLASS") == "user"
        and session.get("STATE") != "closing"
    )
