"""What is true of a host: frozen records, filled by ``facts.parse`` from one run of ``probe.sh``.

``None`` always means "could not tell"; an empty tuple or ``False`` means "looked, and there is none".
Sizes are bytes, times are seconds since the epoch on the host's clock, ids are lower-case hex integers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from .devices import Camera, Devices, Listener
from .printing import printable
from .sshd import Sshd


class PlatformKind(StrEnum):
    """The kinds of machine that are provisioned differently."""

    X86_64 = "x86_64"
    ARM64_SERVER = "arm64-server"
    JETSON = "jetson"
    WSL1 = "wsl1"
    WSL2 = "wsl2"
    CONTAINER = "container"
    OTHER = "other"


@dataclass(frozen=True)
class Platform:
    """The kind of machine, with the readings that say so, and the maker's product whose driver is not ours.

    A container without an init (PID 1 is an ordinary program) is CONTAINER and is not provisioned; one that
    boots an init (LXD, Incus, systemd-nspawn) is a machine of its own, classified by the hardware it shows.
    """

    kind: PlatformKind
    evidence: tuple[str, ...]
    architecture: str  # `uname -m`: x86_64, aarch64 …
    hands_off: str | None = None  # "DGX OS", "DGX Spark (GB10)", "IGX Orin" …: the maker's own driver stays


@dataclass(frozen=True)
class Os:
    """The distribution, as ``distro`` reads os-release."""

    id: str  # debian, ubuntu, rocky …
    version: str  # 13, 24.04 …
    codename: str  # trixie, noble …; "" where os-release has none
    pretty_name: str
    package_architecture: str | None  # `dpkg --print-architecture`: amd64, arm64
    like: tuple[str, ...] = ()  # ID_LIKE: ("debian",), ("rhel", "centos", "fedora")


@dataclass(frozen=True)
class Kernel:
    """The running kernel and the newest installed one, which is what boots next on Debian and Ubuntu."""

    running: str
    next_boot: str | None
    headers_installed: tuple[str, ...]  # kernel releases whose build directory exists


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA display controller (class 0x0300, 0x0302 or 0x0380) of /sys/bus/pci/devices."""

    address: str  # 0000:17:00.0
    device: int  # PCI device id, 0x2330
    subsystem: str  # 0x10de:0x16c1
    bound_driver: str | None  # the kernel driver that owns it: nvidia, nouveau, nova_core, vfio-pci


class ModuleFlavour(StrEnum):
    """Which of NVIDIA's two kernel module families."""

    OPEN = "open"
    PROPRIETARY = "proprietary"


@dataclass(frozen=True)
class Driver:
    """The NVIDIA driver in its three places. They can differ, and then a reboot (or a reload) is due."""

    loaded_version: str | None  # /sys/module/nvidia/version or /proc/driver/nvidia/version
    loaded_flavour: ModuleFlavour | None
    disk_version: str | None  # modinfo of the running kernel's module
    disk_flavour: ModuleFlavour | None
    next_boot_version: str | None  # modinfo of the next-boot kernel's module
    library_version: str | None  # libnvidia-ml.so.<version> or libcuda.so.<version>
    packages: tuple[tuple[str, str], ...]  # installed NVIDIA driver packages: (name, version)
    nouveau_loaded: bool
    nova_core_loaded: bool
    run_file_installer: bool  # left by NVIDIA's .run installer
    kernel_log: tuple[str, ...] = ()  # the last lines of dmesg that speak of NVIDIA; needs root
    vendors: tuple[tuple[str, str], ...] = ()  # rpm's vendor of each of the packages: (name, vendor)
    changed: int | None = None  # when a driver package was installed or upgraded last
    users: tuple[str, ...] = ()  # processes that have the GPU open, "python3 (pid 812)"; the driver's own daemons not
    services: tuple[tuple[str, str], ...] = ()  # nvidia-persistenced, nvidia-fabricmanager, where there: (unit, state)
    mig: bool = False  # GPU instances exist
    module_key: str | None = None  # the public key that DKMS signs modules with
    module_key_enrolled: bool | None = None  # whether the firmware's list of machine owner keys has it
    module_key_staged: bool = False  # it is to be enrolled at the console of the next boot
    unfinished: bool = False  # marker of a change of ours that began and did not end


@dataclass(frozen=True)
class Display:
    """Whether people look at this machine's GPU."""

    default_target: str | None  # graphical.target, multi-user.target
    display_manager: str | None  # gdm, sddm …: the enabled one
    connected: tuple[str, ...]  # DRM connectors with a screen: card1-DP-1; those of a server's BMC left out
    target_chosen: bool = False  # the target was set on this machine, it is not only the distribution's own
    sessions: tuple[str, ...] = ()  # live graphical sessions of users: "alice (wayland)"


@dataclass(frozen=True)
class Jetson:
    """A Jetson module and its L4T release. The driver belongs to L4T."""

    model: str | None  # device-tree model
    module: str | None  # p3767-0003
    soc: str | None  # tegra234
    l4t: str | None  # 36.4.3
    jetpack: str | None  # installed nvidia-jetpack package
    packages: tuple[tuple[str, str], ...]  # nvidia-l4t-*: (name, version)


@dataclass(frozen=True)
class Wsl:
    """A WSL distribution. The driver belongs to Windows."""

    version: int  # 1 or 2
    kernel: str
    interop: bool
    gpu_device: bool  # /dev/dxg
    lib_directory: bool  # /usr/lib/wsl/lib/libcuda.so.1
    docker_desktop: bool  # /usr/bin/docker leads into Docker Desktop's integration
    systemd: bool  # PID 1 is systemd


@dataclass(frozen=True)
class Container:
    """A container of the host's Docker."""

    id: str
    name: str
    image: str  # as it was named when the container was made; the name can be another image's now
    runtime: str | None
    running: bool = True
    image_id: str = ""
    project: str = ""  # of Docker Compose that it belongs to (label com.docker.compose.project)
    service: str = ""  # its service there
    health: str = ""  # healthy, unhealthy, starting; "": its image and its definition have no health check
    exit_code: int | None = None  # of its last run, where it does not run
    restarting: bool = False
    one_off: bool = False  # `docker compose run` made it, besides those that are the service


@dataclass(frozen=True)
class Image:
    """An image in the host's Docker. ``names`` are the tags and digests it is known by."""

    id: str
    names: tuple[str, ...]  # nvidia/cuda:12.6.3-base-ubuntu24.04, nvidia/cuda@sha256:…


@dataclass(frozen=True)
class SourceFile:
    """A configuration file as it was found."""

    path: str
    text: str


@dataclass(frozen=True)
class Docker:
    """Docker Engine on the host, if any."""

    installed: bool
    origin: str | None  # docker-ce, docker.io, docker-desktop, snap …
    client_version: str | None
    running: bool | None
    server_version: str | None
    runtimes: tuple[str, ...]
    default_runtime: str | None
    storage_driver: str | None
    data_root: str | None
    daemon_json: str | None  # the file's text; None where there is no file
    daemon_flags: str | None  # the unit's ExecStart arguments
    pending: bool  # marker of a daemon.json transaction that did not finish
    containers: tuple[Container, ...] | None  # stopped ones too
    images: tuple[Image, ...] | None
    packages: tuple[tuple[str, str], ...]  # docker-ce, docker.io, containerd.io …: (name, version)
    # What `docker info` says that can be set in daemon.json, as lines: runtime=nvidia, default-runtime=runc,
    # live-restore=false, log-driver=json-file, cgroup-driver=systemd, data-root=/var/lib/docker, debug=false,
    # registry-mirror=https://…/, insecure-registry=10.0.0.0/8, address-pool=172.30.0.0/16 24, label=…,
    # storage-driver=overlay2,
    # http-proxy=…, https-proxy=…, no-proxy=… (proxies as docker prints them: without passwords)
    in_force: tuple[str, ...] = ()
    swarm: bool = False  # a member of a swarm, be it one that waits or fails
    cdi: bool = False  # the daemon takes CDI device names: docker info has CDISpecDirs
    started: int | None = None  # when dockerd started
    ledger: str | None = None  # text of our record of the keys of daemon.json that we set
    group: tuple[str, ...] = ()  # members of the group docker, as /etc/group lists them
    rootless: tuple[str, ...] = ()  # users who run a rootless daemon: "alice (pid 812)"
    # What can be pulled and where it goes: the file system of the data root, or of containerd's root with its store.
    containerd_store: bool = False  # images are in containerd's store, which keeps them packed and unpacked
    images_root: str = ""  # /var/lib/docker, /var/lib/containerd: its file system gets the images
    images_free: int | None = None  # bytes that root may still write there
    images_free_inodes: int | None = None
    # Layers that are there, each as the first 16 hex digits: with containerd's store of the blob's digest, else of the
    # layer's chain ID (OCI image-spec, config.md, "Layer ChainID"). None: could not tell.
    layers: tuple[str, ...] | None = None
    registry_files: tuple[SourceFile, ...] = ()  # hosts.toml and *.crt below /etc/docker/certs.d
    pulling: str | None = None  # a pull of an earlier run of ours that still goes on: "pull (pid 812)"
    compose: str | None = None  # version of Docker Compose: 2.40.3; "1.29.2" is docker-compose, the one in Python
    # Below /etc/gpu-hosts/containers: what we wrote for each of them. Of files that root alone may read: sha256:… and a
    # line's end.
    container_files: tuple[SourceFile, ...] = ()
    shims: tuple[str, ...] = ()  # processes that keep containers of containerd, podman or CRI-O: "conmon (pid 77)"

    @property
    def running_containers(self) -> tuple[Container, ...]:
        """Those that run now; empty where the daemon could not be asked."""
        return tuple(container for container in self.containers or () if container.running)


@dataclass(frozen=True)
class CdiSpec:
    """A CDI specification file of NVIDIA GPUs."""

    path: str
    driver: str | None  # driver version in the names of the libraries it mounts


@dataclass(frozen=True)
class RegistryCache:
    """The site cache that an earlier run has set up on this host."""

    files: tuple[SourceFile, ...]  # our configuration, and the certificate of its authority
    address: str  # that the server's certificate is for
    expires: int | None  # when the server's certificate ends, seconds since the epoch


@dataclass(frozen=True)
class Toolkit:
    """NVIDIA Container Toolkit."""

    packages: tuple[tuple[str, str], ...]  # nvidia-container-toolkit, libnvidia-container1 …: (name, version)
    runtime_path: str | None  # where nvidia-container-runtime is
    cdi_specs: tuple[CdiSpec, ...]  # /etc/cdi/nvidia.yaml, /var/run/cdi/nvidia.yaml
    mode: str | None = None  # of nvidia-container-runtime in its config.toml: auto, legacy, csv, cdi, jit-cdi
    hook_since: int | None = None  # when nvidia-container-runtime-hook (or nvidia-cdi-hook, the later) came or changed


@dataclass(frozen=True)
class Packages:
    """The package manager's state."""

    manager: str | None  # apt, dnf, zypper
    half_configured: tuple[str, ...] | None  # what `dpkg --audit` complains of
    lock_holder: str | None  # "unattended-upgr (pid 812)": who holds the dpkg or apt lock now
    held: tuple[str, ...]  # apt-mark showhold; the entries of dnf's versionlock.list
    sources: tuple[SourceFile, ...]
    keyrings: tuple[tuple[str, str], ...]  # (path, sha256) of /etc/apt/keyrings and /usr/share/keyrings
    tools: tuple[str, ...]  # which of curl, gpg, modinfo, v4l2-ctl, guvcview, ca-certificates are there
    installed: tuple[tuple[str, str], ...] = ()  # every installed package that the probe asks about
    stream: str | None = None  # dnf's enabled stream of the module nvidia-driver: 580-open


@dataclass(frozen=True)
class Attempt:
    """A way of giving a container the GPU, and what came of it in a container of its own."""

    mechanism: str  # --gpus all, --device nvidia.com/gpu=all
    result: str  # "ok", or what went wrong
    injected: str  # see Proof.injected


@dataclass(frozen=True)
class Proof:
    """The last GPU proof, as recorded on the host by a run."""

    time: int
    result: str  # "ok", or what went wrong
    image: str  # the image reference, by digest
    driver: str  # loaded driver version at that time; the L4T release on a Jetson
    boot: str  # boot identity, see Host.boot
    mechanism: str  # --runtime=nvidia, --gpus all
    devices: int  # cuDeviceGetCount
    names: str = ""  # what cuDeviceGetName says of each, comma-separated
    injected: str = ""  # what gave the container the GPU: CDI, legacy hook, csv, runtime (auto); "" where nothing did
    others: tuple[Attempt, ...] = ()  # the other mechanisms that were tried besides


@dataclass(frozen=True)
class Host:
    """Everything the probe found. ``probe == 0`` marks a probe that failed: every planner refuses it."""

    probe: int  # version of the probe's format; 0: there was no usable answer
    name: str = ""
    time: int = 0
    boot: str = ""  # kernel boot id and PID 1's start time: changes with every boot, of a container too
    user: str = ""  # who logged in, before any sudo
    elevated: bool = False  # the probe ran as root
    unread: tuple[str, ...] = ()  # what could not be read, and why
    platform: Platform = field(default_factory=lambda: Platform(PlatformKind.OTHER, (), ""))
    os: Os = field(default_factory=lambda: Os("", "", "", "", None))
    kernel: Kernel = field(default_factory=lambda: Kernel("", None, ()))
    init: str | None = None  # name of PID 1: systemd, init …
    gpus: tuple[Gpu, ...] | None = None
    nvswitches: tuple[str, ...] | None = None
    nvlink5: bool = False  # management functions of NVLink 5 are there
    driver: Driver = field(default_factory=lambda: Driver(None, None, None, None, None, None, (), False, False, False))
    secure_boot: bool | None = None
    display: Display = field(default_factory=lambda: Display(None, None, ()))
    jetson: Jetson | None = None
    wsl: Wsl | None = None
    docker: Docker = field(
        default_factory=lambda: Docker(
            False, None, None, None, None, (), None, None, None, None, None, False, None, None, ()
        )
    )
    toolkit: Toolkit = field(default_factory=lambda: Toolkit((), None, ()))
    sshd: Sshd = field(default_factory=lambda: Sshd(None, None, None, (), False, None))
    cameras: tuple[Camera, ...] = ()
    devices: Devices = field(default_factory=Devices)
    listeners: tuple[Listener, ...] = ()
    cgroup: int | None = None  # version of the control groups at /sys/fs/cgroup: 1 or 2
    cpus: int | None = None  # online
    memory: int | None = None  # bytes
    addresses: tuple[str, ...] = ()  # IP addresses of the host's interfaces, without loopback
    registry_cache: RegistryCache | None = None
    packages: Packages = field(default_factory=lambda: Packages(None, None, None, (), (), (), ()))
    proof: Proof | None = None

    @property
    def docker_desktop(self) -> bool:
        """Whether this is a WSL distribution in which `docker` is Docker Desktop's."""
        return bool(self.wsl and self.wsl.docker_desktop)

    def to_json(self) -> object:
        """The record in JSON's types: what pyinfra's own printing of facts asks for by this name."""
        return printable(self)
