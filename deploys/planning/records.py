"""The plan: one frozen record an area, holding only what differs from the host as it was found.

Every area plan carries ``notes`` (what was decided and why), and either a ``refusal`` or ``skipped``
(the name of the refused area it needs) when nothing of it may be done.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from facts.model import ModuleFlavour


class Area(StrEnum):
    """The areas, in the order in which a plan tells them. What is installed comes before sshd's turn."""

    HOST = "host"
    SSHD = "sshd X11"
    DRIVER = "driver"
    DOCKER = "docker"
    TOOLKIT = "toolkit"
    DAEMON = "docker daemon"
    CACHE = "registry cache"
    MIRRORS = "registry mirrors"
    IMAGES = "images"
    REBOOT = "reboot"
    PROOF = "gpu proof"
    CAMERAS = "cameras"
    CONTAINERS = "containers"


class Action(StrEnum):
    """How a changed daemon.json is taken up by the daemon, gentlest first."""

    NONE = "none"
    RELOAD = "reload"  # SIGHUP
    RESTART = "restart"


@dataclass(frozen=True)
class Note:
    """A decision: what was chosen, because of which reading."""

    choice: str
    because: str


@dataclass(frozen=True)
class Refusal:
    """What is wrong, what was seen, what to do."""

    area: Area
    brief: str
    seen: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.area}: {self.brief}\n  seen: {self.seen}\n  to do: {self.remedy}"


@dataclass(frozen=True)
class SshdChange:
    """Lines of ours to put where sshd reads them first."""

    path: str  # our drop-in, or the main file, which gets them at its top
    text: str  # "" takes ours away
    read: str = ""  # SHA-256 of the main file, as it was read; "" where the whole file is ours


@dataclass(frozen=True)
class SshdPlan:
    """A change of sshd's files, the options that must then be in force, and what keeps X11 from coming through."""

    change: SshdChange | None = None
    expected: tuple[tuple[str, str], ...] = ()
    tools: tuple[str, ...] = ()  # packages: xauth
    cautions: tuple[Note, ...] = ()  # why X11 forwarding will not work all the same
    notes: tuple[Note, ...] = ()
    refusal: Refusal | None = None
    skipped: str | None = None


@dataclass(frozen=True)
class Repository:
    """An apt repository to add: a deb822 source and the key it is signed by; no key (all "") where apt has it."""

    name: str
    uri: str
    suite: str  # "/" for a flat repository
    source_path: str
    source: str
    key_path: str
    key_url: str
    fingerprint: str
    # Somebody's source files that give the same repository in an older form or with another key: path, SHA-256 of the
    # file as it was read, text that stays of it ("": the file goes). A copy of each is kept.
    migrated: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class DriverPlan:
    """The driver to install, in one transaction; or, with ``uninstall``, the one to remove."""

    branch: str | None = None
    release: str = ""  # what the version must be or begin with: the branch, or an exact version where one was wished
    flavour: ModuleFlavour | None = None
    manager: str = "apt"
    first: tuple[str, ...] = ()  # packages that pin the release
    packages: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()  # installed packages that must go: old modules, another flavour's, another origin's
    allowed: tuple[str, ...] = ()  # installed driver packages that may go besides
    hold: tuple[str, ...] = ()  # besides every package of the driver's own version
    unhold: tuple[str, ...] = ()  # kernel metapackages that prebuilt modules, which go, had held
    services: tuple[str, ...] = ()  # units to enable
    same_version: tuple[str, ...] = ()  # those of ``packages`` that must be of the driver's own version
    preferences: str = ""  # text of our apt preferences file; empty: no such file
    stream: str = ""  # dnf module stream
    uninstall: tuple[str, ...] = ()  # installed packages to take away; nothing else is done then
    unfinished: bool = False  # a removal that began and did not end is ended, though no package is left
    reload: bool = False  # unload the old modules and load the new ones, in place of a reboot
    module_key: tuple[str, str] | None = None  # key and certificate of DKMS to stage for Secure Boot
    runfile: bool = False  # a driver of NVIDIA's .run installer is uninstalled before anything else
    absent: bool = False  # no driver is wished for
    may_be_there: bool = False  # a repair or an update: what it installs may be there and loaded already
    lead: str | None = None  # the package whose candidate version must be of the release
    repository: Repository | None = None
    security_floor: str = ""  # the version of this branch that has NVIDIA's newest known fixes; empty: not known
    bulletin: str = ""  # the security bulletin that says so
    reboot_due: bool = False
    notes: tuple[Note, ...] = ()
    refusal: Refusal | None = None
    skipped: str | None = None


@dataclass(frozen=True)
class DockerPlan:
    """Docker Engine: packages to install, or an installed engine that only has to be started."""

    packages: tuple[str, ...] = ()  # the first is the one whose version is wished for
    same_version: tuple[str, ...] = ()  # those of ``packages`` that must be of the first one's version
    release: str = ""  # what its version must be or begin with; empty: the newest
    floor: str = ""  # what it must at least be
    avoid: tuple[tuple[str, str], ...] = ()  # bad versions: (first, fixed), fixed is good again; "" for not yet
    remove: tuple[str, ...] = ()  # installed packages in the way, on which nothing runs
    hold: tuple[str, ...] = ()
    repository: Repository | None = None
    restarts: bool = False  # an installed engine is changed, and its daemon starts anew
    stops_containers: bool = False  # it may do so while containers run
    start: bool = False
    users: tuple[str, ...] = ()  # to be made members of the group docker
    notes: tuple[Note, ...] = ()
    refusal: Refusal | None = None
    skipped: str | None = None


@dataclass(frozen=True)
class ToolkitPlan:
    """NVIDIA Container Toolkit: packages to install in one version, or to remove; CDI specifications to refresh."""

    packages: tuple[str, ...] = ()  # all of one version; the first is the one whose version is wished for
    release: str = ""
    floor: str = ""
    avoid: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()  # installed packages of older names: nvidia-docker2 …
    uninstall: tuple[str, ...] = ()  # the toolkit is not wished for; it goes after the daemon has let go of it
    hold: tuple[str, ...] = ()
    expected: tuple[str, ...] = ()  # must be there and of one version afterwards
    absent: bool = False  # no toolkit is wished for
    cdi: bool = False  # the CDI specification is missing or stale, and is made anew when the driver is loaded
    stale_specs: tuple[str, ...] = ()  # files of CDI specifications of another driver, to be put aside
    repository: Repository | None = None
    notes: tuple[Note, ...] = ()
    refusal: Refusal | None = None
    skipped: str | None = None


@dataclass(frozen=True)
class DaemonPlan:
    """daemon.json as it should be. ``found`` is the SHA-256 of the file the plan was made from, or "absent"."""

    text: str | None = None  # None: nothing is to be done
    found: str = "absent"
    action: Action = Action.NONE  # how the daemon takes it up
    bridge: str | None = None  # the file as found and live-restore on: taken up by a reload before the restart
    stops_containers: bool = False  # a restart may stop running containers
    for_gpus: bool = False  # a reload becomes a restart, if no container runs then: only so `--gpus` works
    ledger: str = ""  # text of the record of the keys that we set
    expected: tuple[str, ...] = ()  # lines of Docker.in_force that must be there afterwards; "!" before: must not
    executables: tuple[str, ...] = ()  # of the runtimes: must be on the host
    diff: tuple[str, ...] = ()  # unified, without secrets, for people
    runtimes: tuple[str, ...] = ()  # must be known to the daemon afterwards
    notes: tuple[Note, ...] = ()
    refusal: Refusal | None = None
    skipped: str | None = None


@dataclass(frozen=True)
class CachePlan:
    """A site cache of registries on this host: one container of the distribution registry for each upstream."""

    files: tuple[tuple[str, str], ...] = ()  # configuration of those to start: path, text; nothing secret
    remove: tuple[str, ...] = ()  # names of containers of ours whose upstream is not wished for any more
    start: tuple[str, ...] = ()  # upstreams whose container is made anew: it is missing, or its files change
    upstreams: tuple[tuple[str, int], ...] = ()  # all: registry, port
    address: str = ""  # of this host on the site's network: what it listens on, and what its certificate is for
    name: str = ""  # that its certificate is for besides
    image: str = ""
    folder: str = ""  # where on the host the images are kept
    environment: tuple[tuple[str, str], ...] = ()  # of the containers: the proxies that the host's Docker uses
    make_certificate: bool = False  # there is none for this address, or it ends soon
    notes: tuple[Note, ...] = ()
    refusal: Refusal | None = None
    skipped: str | None = None


@dataclass(frozen=True)
class MirrorsPlan:
    """Files below /etc/docker/certs.d, which Docker reads anew with every pull."""

    files: tuple[tuple[str, str], ...] = ()  # to write: path, text
    remove: tuple[str, ...] = ()  # paths of files of ours that are not wished for any more
    # Registry -> address that its images are pulled from by another name, and are then given their own: where this
    # Docker takes no mirror of that registry. ("nvcr.io", "cache.lab:5001")
    rewrites: tuple[tuple[str, str], ...] = ()
    mirrored: tuple[str, ...] = ()  # registries whose images Docker itself takes from a mirror: docker.io, nvcr.io
    notes: tuple[Note, ...] = ()
    refusal: Refusal | None = None
    skipped: str | None = None


@dataclass(frozen=True)
class Pull:
    """An image that a host lacks."""

    reference: str  # as it was chosen: name[:tag][@digest]
    source: str  # what Docker pulls: name@digest; name:tag where no registry was asked; by another name at a cache
    tag: str = ""  # name:tag that it goes by afterwards; "" where the source is that already, or it has no tag
    digest: str = ""  # of what the reference names, an index or a manifest; "": no registry was asked
    manifest: str = ""  # digest of this platform's manifest: what a cache is filled with once
    layers: tuple[tuple[str, int], ...] = ()  # those to download: digest, bytes
    architecture: str = ""  # of that manifest, in Go's words: arm64
    registry: str = ""  # whose credentials the source needs: docker.io, nvcr.io, cache.lab:5001
    cached: bool = False  # it comes through a cache or mirror of the settings

    @property
    def size(self) -> int:
        """Bytes to download; 0 where it is not known."""
        return sum(size for _, size in self.layers)


@dataclass(frozen=True)
class Archive:
    """A file of `docker save` on the controller, and what it brings."""

    path: str  # absolute, on the controller
    size: int  # bytes
    names: tuple[str, ...]  # as Docker lists them: nvidia/cuda:12.6.3-base-ubuntu24.04
    ids: tuple[str, ...]  # of its images, which may have several names: digests of their configurations, sha256:…
    architectures: tuple[str, ...]  # amd64, arm64
    unpacked: int  # bytes of its layers


@dataclass(frozen=True)
class ImagesPlan:
    """Images: those to pull or load, those to remove, and all that must be there at the end."""

    pull: tuple[Pull, ...] = ()
    load: tuple[Archive, ...] = ()
    prune: tuple[str, ...] = ()  # names of images of the same repositories that are not wished for
    wanted: tuple[str, ...] = ()  # references, as resolved for this host
    for_containers: tuple[str, ...] = ()  # those of ``wanted`` that containers alone need
    lost: tuple[tuple[str, str, str], ...] = ()  # of these, what cannot be had: reference, what was seen, what to do
    wave: int = 8  # hosts that pull one image through a cache at a time, after the first one has
    notes: tuple[Note, ...] = ()
    refusal: Refusal | None = None
    skipped: str | None = None


@dataclass(frozen=True)
class RebootPlan:
    """Whether a reboot is due after the run, and whether we may do it."""

    due: bool = False
    allowed: bool = False
    even_in_use: bool = False  # while containers or GPU processes run
    notes: tuple[Note, ...] = ()
    refusal: Refusal | None = None
    skipped: str | None = None


@dataclass(frozen=True)
class ProofPlan:
    """The container that initialises CUDA: its image and the ways in which it gets the GPU."""

    image: str = ""
    mechanism: str = ""  # the `docker run` options that must inject the GPU
    also: tuple[str, ...] = ()  # other ways that this Docker and toolkit have, tried and told besides
    run: bool = False  # False: the recorded proof is still valid, or there can be none
    notes: tuple[Note, ...] = ()
    refusal: Refusal | None = None
    skipped: str | None = None


@dataclass(frozen=True)
class CamerasPlan:
    """What the host's cameras need. Pictures are taken by deploys/cameras.py alone (``pictures``)."""

    tools: tuple[str, ...] = ()  # packages: v4l-utils, a viewer
    memberships: tuple[tuple[str, str], ...] = ()  # users to be made members: (user, group)
    expected: tuple[tuple[str, str], ...] = ()  # all memberships that are wished for
    notes: tuple[Note, ...] = ()
    refusal: Refusal | None = None
    skipped: str | None = None


@dataclass(frozen=True)
class Answer:
    """How a container shows from the host that it works: what listens, and what its first words are."""

    address: str  # as published: 127.0.0.1, 0.0.0.0
    port: int
    says: str  # "SSH-2.0", "HTTP/1."
    path: str = "/"  # that is asked for over HTTP


@dataclass(frozen=True)
class Project:
    """One of the wished containers: a compose project of its own, made of files below its folder on the host."""

    name: str  # of the wish; Docker Compose's project is gpu-hosts-NAME
    # Path below the folder, text: compose.yaml, Dockerfile. owner.yaml is a compose file of the owner's, read after it:
    # relative paths then start at /var/lib/gpu-hosts-containers/NAME, and what is kept there stays. cdi.yaml and
    # udev.rules are copied to where Docker and udev look for such.
    files: tuple[tuple[str, str], ...] = field(repr=False)  # the owner's may have passwords in it
    # What each service must come to: "healthy", "running", or "done" (it ends, with status 0).
    services: tuple[tuple[str, str], ...]
    build: str = ""  # name of the image that is built on the host, of the Dockerfile and the other files
    answers: tuple[Answer, ...] = ()
    images: tuple[str, ...] = ()  # what it needs on the host before: references, as resolved
    camera: str = ""  # node of the host that it takes pictures from: /dev/video0
    patience: int = 120  # seconds in which it must come to that
    # Commands inside a service once it has come up, each with the text its output must have: (service, script, text)
    proofs: tuple[tuple[str, str, str], ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def by_tag(self) -> bool:
        """Whether its images must go by their tags on the host: so our files name them. The owner's are as they are."""
        return all(path != "owner.yaml" for path, _ in self.files)


@dataclass(frozen=True)
class Refused:
    """A wished container that cannot be had on this host. The others are none the worse."""

    name: str
    refusal: Refusal


@dataclass(frozen=True)
class ContainersPlan:
    """Compose projects of this host: those to start, those to remove, and all that must be there at the end."""

    start: tuple[Project, ...] = ()  # missing, changed, or not in the state they must be in
    remove: tuple[str, ...] = ()  # names of ours that nothing wishes for any more
    projects: tuple[Project, ...] = ()  # all
    refused: tuple[Refused, ...] = ()
    tools: tuple[str, ...] = ()  # packages: docker-compose-plugin
    notes: tuple[Note, ...] = ()
    refusal: Refusal | None = None
    skipped: str | None = None
