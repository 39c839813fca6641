"""Made-up hosts for the planning tests: invented readings, not captures (those are in ``tests/machines``).

Each is derived from another by ``dataclasses.replace``, so that a test shows the one reading that matters to it.
"""

from __future__ import annotations

from dataclasses import replace

from deploys.planning.host_plan import Plan
from facts.model import (
    Attempt,
    Docker,
    Driver,
    Gpu,
    Host,
    Image,
    Jetson,
    Kernel,
    ModuleFlavour,
    Os,
    Packages,
    Platform,
    PlatformKind,
    Proof,
    SourceFile,
    Toolkit,
    Wsl,
)
from facts.sshd import Sshd

DIGEST = "sha256:" + "ab" * 32
PROOF_IMAGE = f"example/proof:1@{DIGEST}"

DEBIAN_13 = Os("debian", "13", "trixie", "Debian GNU/Linux 13 (trixie)", "amd64")
UBUNTU_24 = Os("ubuntu", "24.04", "noble", "Ubuntu 24.04.3 LTS", "amd64", ("debian",))
ROCKY_9 = Os("rocky", "9.6", "", "Rocky Linux 9.6 (Blue Onyx)", None, ("rhel", "centos", "fedora"))

X11_OPTIONS = (
    ("x11forwarding", "yes"),
    ("x11displayoffset", "10"),
    ("printmotd", "no"),
    ("printlastlog", "yes"),
    ("tcpkeepalive", "yes"),
)
DAEMON_JSON = '{\n  "runtimes": {\n    "nvidia": {"path": "nvidia-container-runtime"}\n  }\n}\n'
TOOLKIT_PACKAGES = (
    ("libnvidia-container-tools", "1.19.1-1"),
    ("libnvidia-container1", "1.19.1-1"),
    ("nvidia-container-toolkit", "1.19.1-1"),
    ("nvidia-container-toolkit-base", "1.19.1-1"),
)

NO_DRIVER = Driver(None, None, None, None, None, None, (), False, False, False)
DRIVER_580 = Driver(
    loaded_version="580.95.05",
    loaded_flavour=ModuleFlavour.OPEN,
    disk_version="580.95.05",
    disk_flavour=ModuleFlavour.OPEN,
    next_boot_version="580.95.05",
    library_version="580.95.05",
    packages=(("nvidia-driver-cuda", "580.95.05-1"),),
    nouveau_loaded=False,
    nova_core_loaded=False,
    run_file_installer=False,
)
NO_DOCKER = Host(probe=1).docker
DOCKER = Docker(
    installed=True,
    origin="docker-ce",
    client_version="29.4.3",
    running=True,
    server_version="29.4.3",
    runtimes=("nvidia", "runc"),
    default_runtime="runc",
    storage_driver="overlay2",
    data_root="/var/lib/docker",
    images_root="/var/lib/docker",
    images_free=200 * 10**9,
    images_free_inodes=10**7,
    layers=(),
    daemon_json=DAEMON_JSON,
    daemon_flags="-H fd://",
    pending=False,
    containers=(),
    images=(Image("sha256:1234", (f"example/proof@{DIGEST}",)),),
    packages=(("docker-ce", "5:29.4.3-1"),),
)


def gpu(device: int, *, driver: str | None = None, address: str = "0000:17:00.0") -> Gpu:
    """A GPU of a PCI device id."""
    return Gpu(address, device, "0x10de:0x16c1", driver)


# A server with an H100 SXM5 and nothing installed on it.
BARE = Host(
    probe=1,
    name="server",
    time=1_790_000_000,
    boot="0b7e/4711",
    user="root",
    elevated=True,
    platform=Platform(PlatformKind.X86_64, ("uname -m says x86_64",), "x86_64"),
    os=DEBIAN_13,
    kernel=Kernel("6.12.57+deb13-amd64", "6.12.57+deb13-amd64", ()),
    init="systemd",
    gpus=(gpu(0x2330),),
    nvswitches=(),
    driver=NO_DRIVER,
    secure_boot=False,
    docker=NO_DOCKER,
    toolkit=Toolkit((), None, ()),
    sshd=Sshd("10.0p1", True, X11_OPTIONS, (), False, "/usr/bin/xauth"),
    packages=Packages("apt", (), None, (), (), (), ("curl", "gpg", "modinfo", "ca-certificates")),
)

# The same server as a run leaves it.
READY = replace(
    BARE,
    gpus=(gpu(0x2330, driver="nvidia"),),
    driver=DRIVER_580,
    docker=DOCKER,
    toolkit=Toolkit(TOOLKIT_PACKAGES, "/usr/bin/nvidia-container-runtime", ()),
    proof=Proof(
        time=BARE.time - 300,
        result="ok",
        image=PROOF_IMAGE,
        driver="580.95.05",
        boot=BARE.boot,
        mechanism="--runtime=nvidia",
        devices=1,
        names="NVIDIA H100 80GB HBM3",
        injected="CDI",
        others=(Attempt("--gpus all", "ok", "legacy hook"),),
    ),
)

JETSON = replace(
    BARE,
    name="jetson",
    user="lab",
    platform=Platform(PlatformKind.JETSON, ("device tree compatible says nvidia,tegra234",), "aarch64"),
    os=Os("ubuntu", "22.04", "jammy", "Ubuntu 22.04.5 LTS", "arm64", ("debian",)),
    kernel=Kernel("5.15.148-tegra", "5.15.148-tegra", ()),
    gpus=(),
    jetson=Jetson(
        model="NVIDIA Jetson Orin Nano Developer Kit",
        module="p3767-0005",
        soc="tegra234",
        l4t="36.4.4",
        jetpack=None,
        packages=(("nvidia-l4t-core", "36.4.4-20250616085344"),),
    ),
)

WSL = replace(
    BARE,
    name="wsl",
    user="lab",
    platform=Platform(PlatformKind.WSL2, ("uname -r says 6.6.87.2-microsoft-standard-WSL2",), "x86_64"),
    os=UBUNTU_24,
    kernel=Kernel("6.6.87.2-microsoft-standard-WSL2", None, ()),
    gpus=(),
    wsl=Wsl(2, "6.6.87.2-microsoft-standard-WSL2", True, True, True, False, True),
)

DOCKER_DESKTOP = replace(
    WSL,
    wsl=Wsl(2, "6.6.87.2-microsoft-standard-WSL2", True, True, True, True, False),
    init="init(Ubuntu)",
    docker=replace(DOCKER, origin="docker-desktop", runtimes=("runc",), daemon_json=None, images=()),
)


def on_ubuntu(kernel: str, *, version: str = "24.04", architecture: str = "amd64") -> Host:
    """The bare server with an Ubuntu release and kernel."""
    release = Os("ubuntu", version, "noble", f"Ubuntu {version} LTS", architecture, ("debian",))
    machine = Platform(PlatformKind.ARM64_SERVER, ("uname -m says aarch64",), "aarch64")
    platform = BARE.platform if architecture == "amd64" else machine
    return replace(BARE, os=release, platform=platform, kernel=Kernel(kernel, kernel, ()))


def with_gpus(host: Host, *devices: int) -> Host:
    """The host with GPUs of these PCI device ids, on one bus."""
    return replace(
        host, gpus=tuple(gpu(device, address=f"0000:{slot:02x}:00.0") for slot, device in enumerate(devices))
    )


def with_sources(host: Host, *texts: str, suffix: str = "list", keyrings: tuple[str, ...] = ()) -> Host:
    """The host with somebody else's apt source files, and these keyrings."""
    files = tuple(SourceFile(f"/etc/apt/sources.list.d/theirs{i}.{suffix}", text) for i, text in enumerate(texts))
    there = tuple((path, "00") for path in keyrings)
    return replace(host, packages=replace(host.packages, sources=files, keyrings=there))


def with_daemon_json(host: Host, text: str | None, *, runtimes: tuple[str, ...] = ("runc",)) -> Host:
    """The host with a daemon.json and the runtimes that its daemon knows."""
    return replace(host, docker=replace(host.docker, daemon_json=text, runtimes=runtimes))


def with_jetson(host: Host, *, l4t: str | None) -> Host:
    """The Jetson with another L4T release."""
    assert host.jetson
    return replace(host, jetson=replace(host.jetson, l4t=l4t))


def needs_something(plan: Plan) -> bool:
    """Whether a run would do anything on the host."""
    driver, docker, toolkit = plan.driver, plan.docker, plan.toolkit
    packages = driver.packages or driver.uninstall or toolkit.uninstall or plan.package_groups or plan.repositories
    files = plan.sshd.change or plan.daemon.text is not None or toolkit.cdi or toolkit.stale_specs
    mirrors = plan.mirrors.files or plan.mirrors.remove
    steps = driver.unfinished or driver.runfile or driver.reload or driver.module_key or docker.users or docker.start
    images = plan.images.pull or plan.images.load or plan.images.prune
    devices = plan.cameras.memberships or plan.containers.start or plan.containers.remove
    later = (plan.reboot.due and plan.reboot.allowed) or plan.proof.run
    return bool(packages or files or mirrors or steps or images or devices or later)


# id-version: codename, name and kernel as the release came with it, and the package manager.
RELEASES = {
    "debian-12": ("bookworm", "Debian GNU/Linux 12 (bookworm)", "6.1.0-41-amd64", "apt"),
    "debian-13": ("trixie", "Debian GNU/Linux 13 (trixie)", "6.12.57+deb13-amd64", "apt"),
    "ubuntu-22.04": ("jammy", "Ubuntu 22.04.5 LTS", "5.15.0-151-generic", "apt"),
    "ubuntu-24.04": ("noble", "Ubuntu 24.04.3 LTS", "6.8.0-45-generic", "apt"),
    "ubuntu-26.04": ("resolute", "Ubuntu 26.04 LTS", "7.0.0-14-generic", "apt"),
    "rhel-8.10": ("", "Red Hat Enterprise Linux 8.10 (Ootpa)", "4.18.0-553.el8_10.x86_64", "dnf"),
    "rhel-9.6": ("", "Red Hat Enterprise Linux 9.6 (Plow)", "5.14.0-570.12.1.el9_6.x86_64", "dnf"),
    "rhel-10.0": ("", "Red Hat Enterprise Linux 10.0 (Coughlan)", "6.12.0-55.9.1.el10_0.x86_64", "dnf"),
    "rocky-8.10": ("", "Rocky Linux 8.10 (Green Obsidian)", "4.18.0-553.el8_10.x86_64", "dnf"),
    "rocky-9.6": ("", "Rocky Linux 9.6 (Blue Onyx)", "5.14.0-570.12.1.el9_6.x86_64", "dnf"),
    "rocky-10.0": ("", "Rocky Linux 10.0 (Red Quartz)", "6.12.0-55.9.1.el10_0.x86_64", "dnf"),
    "almalinux-8.10": ("", "AlmaLinux 8.10 (Cerulean Leopard)", "4.18.0-553.el8_10.x86_64", "dnf"),
    "almalinux-9.6": ("", "AlmaLinux 9.6 (Sage Margay)", "5.14.0-570.12.1.el9_6.x86_64", "dnf"),
    "almalinux-10.0": ("", "AlmaLinux 10.0 (Purple Lion)", "6.12.0-55.9.1.el10_0.x86_64", "dnf"),
}


def on(release: str, *, arm: bool = False, kernel: str = "", next_boot: str = "", packages: str = "") -> Host:
    """The bare server with this release, on x86_64 or as an arm64 server, with these packages installed.

    ``release`` is a key of RELEASES, or any other id-version, which no row is for.
    """
    codename, name, default, manager = RELEASES.get(release, ("", release, "6.12.0-1-generic", "apt"))
    if arm:
        default = default.replace("amd64", "arm64").replace("x86_64", "aarch64")
    machine = "aarch64" if arm else "x86_64"
    kind = PlatformKind.ARM64_SERVER if arm else PlatformKind.X86_64
    kernel = kernel or default
    found_id, _, version = release.partition("-")
    architecture = {"apt": "arm64" if arm else "amd64"}.get(manager)
    debian = SourceFile("/etc/apt/sources.list", f"deb http://debian.lab/debian {codename} main\n")
    return replace(
        BARE,
        platform=Platform(kind, (f"uname -m says {machine}",), machine),
        os=Os(found_id, version, codename, name, architecture),
        kernel=Kernel(kernel, next_boot or kernel, ()),
        packages=replace(
            BARE.packages,
            manager=manager,
            installed=tuple((package, "1") for package in packages.split()),
            sources=(debian,) if found_id == "debian" else (),
        ),
    )


def with_driver(host: Host, version: str, names: str, *, flavour: ModuleFlavour = ModuleFlavour.OPEN) -> Host:
    """The host with these driver packages of a version, the module loaded and on disk, and the library."""
    upstream = version.rpartition(":")[2].split("-")[0]
    driver = replace(
        DRIVER_580,
        loaded_version=upstream,
        disk_version=upstream,
        next_boot_version=upstream,
        library_version=upstream,
        loaded_flavour=flavour,
        disk_flavour=flavour,
        packages=tuple((name, version) for name in sorted(names.split())),
    )
    return replace(host, driver=driver, gpus=tuple(replace(one, bound_driver="nvidia") for one in host.gpus or ()))
