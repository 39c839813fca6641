"""Ubuntu's archive and NVIDIA's repository for it: real names, versions and relations, content that plays its part.

Names and relations: packages.ubuntu.com (noble), ubuntu-drivers-common (UbuntuDrivers/detect.py), unmet dependencies
that people have posted (linux-modules-nvidia-535-open-… Depends: nvidia-kernel-common-535 (<= …), (>= …)), the lists
of NVIDIA's repository. That NVIDIA's daemon and Ubuntu's are files of one name, and what then conflicts, is assumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tests.sandbox.repository import Package
from tests.sandbox.standins import (
    NOUVEAU_BLACKLIST,
    daemon_package,
    dkms_scripts,
    kernel_of,
    library_files,
    module_description,
    pinning_package,
    template,
)

LICENCES = {"-open": "Dual MIT/GPL", "": "NVIDIA"}
SIGNER = b"signer:         Canonical Ltd. Kernel Module Signing\n"
EMPTY: Mapping[str, str] = MappingProxyType({})
ALONE = ("Provides", "Conflicts", "Replaces")


@dataclass(frozen=True)
class Build:
    """A driver: what its packages' names end in (-580, -580-server, nothing), its version, the libraries' content."""

    suffix: str
    version: str
    libcuda: bytes
    empty_library: bytes

    @property
    def upstream(self) -> str:
        """580.95.05 of 580.95.05-0ubuntu0.24.04.2."""
        return self.version.split("-")[0]

    def package(
        self,
        name: str,
        *,
        tail: str = "",
        needs: tuple[str, ...] = (),
        alone: bool = True,
        files: Mapping[str, bytes] = MappingProxyType({}),
        links: Mapping[str, str] = EMPTY,
        programs: Mapping[str, bytes] = MappingProxyType({}),
        scripts: Mapping[str, bytes] = MappingProxyType({}),
    ) -> Package:
        """``name``-580``tail``, which needs others in its very version and of all builds is installed ``alone``."""
        full = f"{name}{self.suffix}{tail}"
        relations = {"Depends": ", ".join(f"{need} (= {self.version})" for need in needs)} if needs else {}
        if alone and full != name:
            relations |= dict.fromkeys(ALONE, name)
        return Package(
            full,
            self.version,
            f"NVIDIA {name}",
            "amd64",
            relations=relations,
            files=files,
            links=links,
            programs=programs,
            scripts=scripts,
        )

    def libraries(self, *, programs: Mapping[str, bytes] = MappingProxyType({})) -> Package:
        """libnvidia-compute: what CUDA and nvidia-smi load."""
        cuda, cuda_link = library_files(self.upstream, "libcuda.so", self.libcuda)
        smi, smi_link = library_files(self.upstream, "libnvidia-ml.so", self.empty_library)
        return self.package("libnvidia-compute", files=cuda | smi, links=cuda_link | smi_link, programs=programs)

    def kernel_parts(self, firmware: Package) -> Iterator[Package]:
        """What every module needs, and the modules' sources with the packages that DKMS builds from."""
        blacklist = {NOUVEAU_BLACKLIST: b"blacklist nouveau\n"}
        common = self.package("nvidia-kernel-common", needs=(firmware.name,), files=blacklist)
        yield from (firmware, common)
        for tail, licence in LICENCES.items():
            path = f"/usr/src/nvidia-{self.upstream}/nvidia.ko.description"
            files = {path: module_description(self.version, licence)}
            source = self.package("nvidia-kernel-source", tail=tail, files=files)
            yield source
            needs = (source.name, common.name)
            yield self.package("nvidia-dkms", tail=tail, needs=needs, scripts=dkms_scripts(self.version))

    def sets(self, daemon: str) -> Iterator[Package]:
        """The packages without content of which people name one: headless, with and without DKMS, and display."""
        common = tuple(f"{name}{self.suffix}" for name in ("libnvidia-compute", "libnvidia-cfg1"))
        for tail in LICENCES:
            kernel = (f"nvidia-kernel-common{self.suffix}", f"nvidia-kernel-source{self.suffix}{tail}")
            needs = (*common, daemon, *kernel)
            plain = self.package("nvidia-headless-no-dkms", tail=tail, needs=needs, alone=False)
            dkms = f"nvidia-dkms{self.suffix}{tail}"
            yield plain
            yield self.package("nvidia-headless", tail=tail, needs=(plain.name, dkms), alone=False)
            yield self.package("nvidia-driver", tail=tail, needs=(*common, daemon, dkms), alone=False)


def archive_driver(build: Build) -> list[Package]:
    """One branch of Ubuntu's archive, -server or not, without its prebuilt modules."""
    daemon = f"nvidia-compute-utils{build.suffix}"
    libraries = f"libnvidia-compute{build.suffix}"
    packages = [
        build.libraries(),
        build.package("libnvidia-cfg1"),
        build.package("nvidia-utils", needs=(libraries,), programs={"/usr/bin/nvidia-smi": template("nvidia-smi")}),
        daemon_package(
            daemon,
            build.version,
            "NVIDIA compute utilities",
            unit="nvidia-persistenced",
            relations={
                "Depends": f"libnvidia-cfg1{build.suffix} (= {build.version})",
                **dict.fromkeys(ALONE, "nvidia-compute-utils"),
            },
        ),
        *build.kernel_parts(build.package("nvidia-firmware", tail=f"-{build.upstream}", alone=False)),
        *build.sets(daemon),
    ]
    if build.suffix.endswith("-server"):
        branch = build.suffix.removesuffix("-server")
        needs = {"Depends": f"nvidia-kernel-common{build.suffix} (= {build.version})"}
        name, summary = f"nvidia-fabricmanager{branch}", "NVIDIA fabric manager"
        packages.append(daemon_package(name, build.version, summary, unit="nvidia-fabricmanager", relations=needs))
    return packages


def prebuilt_modules(build: Build, kernel: str, version: str) -> list[Package]:
    """The archive's signed modules of a driver for one kernel, open and proprietary."""
    packages = []
    common = f"nvidia-kernel-common{build.suffix}"
    for tail, licence in LICENCES.items():
        name = f"nvidia{build.suffix}{tail}"
        needs = f"linux-image-{kernel}, linux-signatures-nvidia-{kernel} (= {version}), {common} (>= {build.upstream})"
        if tail:
            needs += f", {common} (<= {build.upstream}-1)"
        else:
            needs += f", linux-objects-{name}-{kernel} (= {version})"
            packages.append(Package(f"linux-objects-{name}-{kernel}", version, "Objects of NVIDIA's modules", "amd64"))
        module = module_description(build.version, licence) + SIGNER + f"vermagic:       {kernel}\n".encode()
        packages.append(
            Package(
                f"linux-modules-{name}-{kernel}",
                version,
                f"NVIDIA's modules for {kernel}",
                "amd64",
                relations={"Depends": needs},
                files={f"/usr/lib/modules/{kernel}/kernel/{name}/nvidia.ko": module},
            )
        )
    return packages


def prebuilt_metapackages(build: Build, kernel: str, version: str) -> list[Package]:
    """What follows the modules of a driver to the archive's newest kernel."""
    flavour = kernel.rsplit("-", 1)[1]
    common = f"nvidia-kernel-common{build.suffix} (>= {build.upstream})"
    return [
        Package(
            f"linux-modules-nvidia{build.suffix}{tail}-{flavour}",
            version,
            "NVIDIA's modules for the newest kernel",
            "amd64",
            relations={
                "Depends": f"linux-modules-nvidia{build.suffix}{tail}-{kernel} (= {version}), {common}",
            },
        )
        for tail in LICENCES
    ]


def kernel_metapackages(kernel: str, version: str) -> list[Package]:
    """linux-generic and the like of the archive's newest kernel."""
    flavour = kernel.rsplit("-", 1)[1]

    def follow(name: str, *needs: str) -> Package:
        depends = ", ".join(f"{need} (= {version})" for need in needs)
        return Package(name, version, "Follows the newest kernel", "amd64", relations={"Depends": depends})

    return [
        follow(f"linux-image-{flavour}", f"linux-image-{kernel}"),
        follow(f"linux-headers-{flavour}", f"linux-headers-{kernel}"),
        follow(f"linux-{flavour}", f"linux-image-{flavour}", f"linux-headers-{flavour}"),
    ]


def ubuntu_kernel(kernel: str, version: str) -> list[Package]:
    """A kernel of the archive, and what its prebuilt modules share."""
    signatures = Package(f"linux-signatures-nvidia-{kernel}", version, "Signatures of NVIDIA's modules", "amd64")
    return [*kernel_of(kernel, version), signatures]


def nvidia_driver(build: Build, branch: str) -> list[Package]:
    """A branch of NVIDIA's ubuntu2404 repository: with the branch in its names up to 580, without from 590 on."""
    smi = {"/usr/bin/nvidia-smi": template("nvidia-smi")}
    firmware = build.package("nvidia-firmware")
    if build.suffix:
        tools = [
            build.libraries(),
            build.package("nvidia-utils", needs=(f"libnvidia-compute{build.suffix}",), programs=smi),
            build.package("nvidia-compute-utils", needs=(f"libnvidia-compute{build.suffix}",)),
        ]
    else:
        tools = [build.libraries(programs=smi)]
    older = f"nvidia-compute-utils-580 (<< {build.version})"
    packages = [
        *tools,
        build.package("libnvidia-cfg1"),
        *build.kernel_parts(firmware),
        *build.sets("nvidia-persistenced"),
        daemon_package(
            "nvidia-persistenced",
            build.version,
            "NVIDIA persistence daemon",
            relations={"Breaks": older, "Replaces": older},
        ),
        daemon_package("nvidia-fabricmanager", build.version, "NVIDIA fabric manager"),
        Package("libnvidia-nscq", build.version, "NVSwitch configuration and query", "amd64"),
    ]
    pinned = " ".join(package.name for package in packages)
    return [*packages, *(pinning_package(one, build.version, pinned) for one in (branch, build.upstream))]
