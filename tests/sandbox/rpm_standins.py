"""Enterprise Linux's and NVIDIA's rpm packages of the sandbox: real names, versions and relations.

Names and relations of NVIDIA's packages: the spec files of NVIDIA/yum-packaging-nvidia-driver, -nvidia-kmod-common,
-dkms-nvidia and -nvidia-persistenced; their epoch is 3. Streams of the module: NVIDIA's driver installation guide.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.sandbox.rpm_repository import Rpm, module_metadata
from tests.sandbox.standins import DRIVER_VERSIONS, template

TEMPLATES = Path(__file__).parent / "files/rpm"
UPSTREAM_VERSIONS = tuple(version.split("-")[0] for version in DRIVER_VERSIONS)
LIBRARIES = "/usr/lib64"
PRESET = b"".join(b"enable nvidia-%s.service\n" % name for name in (b"persistenced", b"fabricmanager", b"imex"))
BASEOS = ("curl", "gnupg2", "ca-certificates", "kmod", "openssh-server", "systemd", "tar", "xz", "libseccomp")
APPSTREAM = ("gcc", "make", "elfutils-libelf-devel", "xauth", "container-selinux", "iptables-nft", "nftables")
OPEN, PROPRIETARY = "kmod-nvidia-open-dkms", "kmod-nvidia-latest-dkms"


@dataclass(frozen=True)
class Release:
    """A release of Rocky Linux: its version, its kernel (version, release), and whether dnf has module streams."""

    version: str
    kernel: tuple[str, str]
    modular: bool

    @property
    def major(self) -> str:
        """9 of 9.6."""
        return self.version.split(".")[0]

    @property
    def tag(self) -> str:
        """What packages of this release have at the end of theirs."""
        return f".el{self.major}"

    @property
    def uname(self) -> str:
        """What `uname -r` says."""
        return f"{'-'.join(self.kernel)}.x86_64"


RELEASES = {
    "rocky": Release("9.6", ("5.14.0", "570.17.1.el9_6"), modular=True),
    "rocky10": Release("10.0", ("6.12.0", "55.12.1.el10_0"), modular=False),
}


def _present(name: str, version: str, *relations: str) -> Rpm:
    """A package that is only there: what it stands for is Debian's, or is not needed."""
    return Rpm(name, version, f"{name}, in name", architecture="noarch", relations=relations)


def base_packages(release: Release) -> list[Rpm]:
    """What is installed on a new host: the kernel, and what the vendors' packages and people expect to be there."""
    version, kernel_release = release.kernel
    kernel = release.uname
    modules = f"/usr/lib/modules/{kernel}"
    return [
        _present("bash", "5.1.8", "Provides: /bin/sh", "Provides: /usr/bin/sh"),
        _present(
            "rocky-release",
            release.version,
            f"Provides: system-release = {release.version}",
            f"Provides: system-release(releasever) = {release.major}",
        ),
        *(_present(name, "1") for name in BASEOS),
        _present("linux-firmware", "20250513"),
        Rpm(
            "kernel-core",
            version,
            "The Linux kernel",
            kernel_release,
            relations=("Provides: installonlypkg(kernel)", f"Provides: kernel-core-uname-r = {kernel}"),
            files={
                f"/boot/vmlinuz-{kernel}": b"simulated kernel\n",
                f"/boot/initramfs-{kernel}.img": b"simulated initramfs\n",
                f"{modules}/modules.dep": b"",
                f"{modules}/modules.order": b"",
                f"{modules}/modules.builtin": b"",
            },
            links={f"{modules}/build": f"/usr/src/kernels/{kernel}"},
        ),
        Rpm(
            "dracut",
            "057",
            "Initramfs generator",
            programs={"/usr/bin/dracut": template(TEMPLATES / "told", {"NAME": "dracut"})},
        ),
        Rpm(
            "grubby",
            "8.40",
            "Boot loader entries",
            programs={"/usr/sbin/grubby": template(TEMPLATES / "told", {"NAME": "grubby"})},
        ),
    ]


def system_repositories(release: Release) -> dict[str, tuple[Rpm, ...]]:
    """The distribution's own repositories: name -> what can be had from it, beside what is installed."""
    version, kernel_release = release.kernel
    same = f"= {version}-{kernel_release}"
    devel = f"/usr/src/kernels/{release.uname}/Makefile"
    kernel = (
        Rpm(
            "kernel-devel",
            version,
            "Development package for building kernel modules",
            kernel_release,
            relations=("Provides: installonlypkg(kernel)", f"Provides: kernel-devel-uname-r = {release.uname}"),
            files={devel: b"# simulated\n"},
        ),
        Rpm(
            "kernel-devel-matched",
            version,
            "Kernel and development package of one version",
            kernel_release,
            relations=(f"Requires: kernel-devel {same}", f"Requires: kernel-core {same}"),
        ),
        Rpm("kernel-headers", version, "Header files for the Linux kernel", kernel_release),
    )
    epel = Rpm(
        "epel-release",
        release.major,
        "Extra Packages for Enterprise Linux, repository configuration",
        architecture="noarch",
        files={"/etc/yum.repos.d/epel.repo": _repository_file("epel", "Extra Packages for Enterprise Linux")},
        programs={"/usr/bin/crb": (TEMPLATES / "crb").read_bytes()},
    )
    versionlock = Rpm(
        "python3-dnf-plugin-versionlock",
        "4.3.0",
        "Version lock plugin for DNF",
        architecture="noarch",
        relations=("Provides: dnf-command(versionlock)",),
        scripts={"post": template(TEMPLATES / "versionlock.post")},
    )
    return {
        "baseos": (*base_packages(release), versionlock),
        "appstream": (*kernel, *(_present(name, "1") for name in APPSTREAM)),
        "extras": (epel,),
        "epel": (
            Rpm(
                "dkms",
                "3.2.2",
                "Dynamic Kernel Module Support",
                architecture="noarch",
                relations=("Requires: gcc", "Requires: make", "Requires: kernel-devel"),
                programs={"/usr/sbin/dkms": (TEMPLATES / "dkms").read_bytes()},
            ),
            _present("ocl-icd", "2.3.2", "Requires: opencl-filesystem"),
        ),
        "crb": (_present("opencl-filesystem", "1.0"),),
    }


def _repository_file(name: str, title: str, *, enabled: bool = True) -> bytes:
    return (
        f"[{name}]\nname={title} (simulated)\nbaseurl=file:///usr/lib/gpu-sandbox/rpm/{name}\n"
        f"enabled={int(enabled)}\ngpgcheck=0\n"
    ).encode()


def system_repository_files() -> bytes:
    """rocky.repo: BaseOS, AppStream and extras, and CRB, which is off. EPEL's comes with epel-release."""
    on = [_repository_file(name, f"Rocky Linux {name}") for name in ("baseos", "appstream", "extras")]
    return b"\n".join((*on, _repository_file("crb", "Rocky Linux crb", enabled=False)))


def driver_packages(version: str, libcuda: bytes, empty_library: bytes) -> list[Rpm]:
    """One version of the driver as NVIDIA cuts it for Enterprise Linux, with both kinds of modules."""
    same = f"= 3:{version}"

    def plain(name: str, summary: str, *needs: str) -> Rpm:
        relations = tuple(f"Requires: {need}" for need in needs)
        return Rpm(name, version, summary, epoch=3, relations=relations)

    return [
        *_libraries(version, libcuda, empty_library),
        plain("libnvidia-cfg", "NVIDIA configuration library"),
        plain("nvidia-modprobe", "NVIDIA kernel module loader"),
        _service("nvidia-persistenced", version, 3, f"Requires: libnvidia-cfg >= 3:{version}"),
        Rpm(
            "nvidia-driver-cuda",
            version,
            "CUDA integration for NVIDIA driver",
            epoch=3,
            relations=tuple(
                f"Requires: {name}"
                for name in (
                    f"nvidia-driver-cuda-libs {same}",
                    f"nvidia-kmod-common {same}",
                    f"nvidia-persistenced {same}",
                    "opencl-filesystem",
                    "ocl-icd",
                )
            ),
            programs={"/usr/bin/nvidia-smi": template("nvidia-smi")},
            files={"/usr/lib/systemd/system-preset/70-nvidia-driver-cuda.preset": PRESET},
        ),
        plain("nvidia-driver-libs", "Libraries for NVIDIA driver", f"libnvidia-ml {same}"),
        plain("nvidia-driver", "NVIDIA driver", f"nvidia-driver-libs {same}", f"nvidia-kmod-common {same}"),
        Rpm(
            "nvidia-kmod-common",
            version,
            "Common files for NVIDIA's kernel modules",
            epoch=3,
            architecture="noarch",
            relations=("Requires: linux-firmware", "Requires: nvidia-modprobe", f"Requires: nvidia-kmod {same}"),
            files={
                "/usr/lib/modprobe.d/nvidia.conf": b"blacklist nouveau\nsoftdep nvidia post: nvidia-uvm nvidia-drm\n",
                f"/usr/lib/firmware/nvidia/{version}/gsp_ga10x.bin": b"simulated\n",
            },
        ),
        _kmod(OPEN, version, "nvidia-open", "Dual MIT/GPL", f"Conflicts: {PROPRIETARY}"),
        _kmod(PROPRIETARY, version, "nvidia", "NVIDIA"),
        _service("nvidia-fabricmanager", version, 0),
    ]


def _libraries(version: str, libcuda: bytes, empty_library: bytes) -> list[Rpm]:
    same = f"= 3:{version}"
    return [
        Rpm(
            "nvidia-driver-cuda-libs",
            version,
            "Libraries for NVIDIA driver, CUDA",
            epoch=3,
            relations=(f"Requires: libnvidia-ml {same}", f"Requires: libnvidia-cfg {same}"),
            files={f"{LIBRARIES}/libcuda.so.{version}": libcuda},
            links={f"{LIBRARIES}/libcuda.so.1": f"libcuda.so.{version}"},
        ),
        Rpm(
            "libnvidia-ml",
            version,
            "NVIDIA Management Library",
            epoch=3,
            files={f"{LIBRARIES}/libnvidia-ml.so.{version}": empty_library},
            links={f"{LIBRARIES}/libnvidia-ml.so.1": f"libnvidia-ml.so.{version}"},
        ),
    ]


def _kmod(name: str, version: str, dkms_name: str, licence: str, *relations: str) -> Rpm:
    """A DKMS package: it "builds" its module after the installation, and as the real one exits 0 whatever happens."""
    source = f"/usr/src/{dkms_name}-{version}"
    description = (
        f"version:        {version}\nlicense:        {licence}\n"
        "description:    simulated module: text that modinfo reads, no code\n"
    )
    return Rpm(
        name,
        version,
        f"NVIDIA kernel modules ({licence})",
        epoch=3,
        relations=(
            f"Provides: nvidia-kmod = 3:{version}",
            f"Requires: nvidia-kmod-common = 3:{version}",
            "Requires: dkms",
            *relations,
        ),
        files={f"{source}/nvidia.ko.description": description.encode()},
        scripts={
            "post": template(TEMPLATES / "kmod.post", {"MODULE": dkms_name, "VERSION": version}),
            "preun": template(TEMPLATES / "kmod.preun", {"VERSION": version, "LICENCE": licence}),
        },
    )


def _service(name: str, version: str, epoch: int, *relations: str) -> Rpm:
    """A daemon: started it stays, and does nothing. Enabled at its first installation, as presets say; not started."""
    unit = (
        f"[Unit]\nDescription={name} (simulated)\n[Service]\nExecStart=/usr/bin/sleep infinity\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )
    return Rpm(
        name,
        version,
        f"{name} daemon",
        epoch=epoch,
        relations=relations,
        files={f"/usr/lib/systemd/system/{name}.service": unit.encode()},
        scripts={
            "post": template(TEMPLATES / "service.post", {"UNIT": name}),
            "preun": template(TEMPLATES / "service.preun", {"UNIT": name}),
        },
    )


def driver_streams(packages: Iterable[Rpm], tag: str) -> str:
    """modules.yaml of module nvidia-driver: a stream for each branch and kind of modules, and those of the newest."""
    everything = list(packages)
    newest = max(UPSTREAM_VERSIONS, key=lambda version: [int(part) for part in version.split(".")])
    streams: dict[str, list[str]] = {}
    for ending, left_out in (("open", PROPRIETARY), ("dkms", OPEN)):
        for branch in dict.fromkeys(version.split(".")[0] for version in UPSTREAM_VERSIONS):
            streams[f"{branch}-{ending}"] = [
                one.nevra(tag) for one in everything if one.version.startswith(f"{branch}.") and one.name != left_out
            ]
        latest = "open-dkms" if ending == "open" else "latest-dkms"
        streams[latest] = streams[f"{newest.split('.')[0]}-{ending}"]
    return module_metadata("nvidia-driver", "open-dkms", streams)
