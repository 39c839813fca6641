"""ModelBox' development container: its image for the host, what it may use there, and how people get into it.

It boots nothing unless that is asked for, and what is published on loopback is reached through `ssh -L`. An SSH server
or an editor counts as being there when it answers on its port.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from deploys.planning.addresses import before_port, read_address
from deploys.planning.catalogue import Catalogue
from deploys.planning.compose_text import base_service, compose_text
from deploys.planning.container_settings import Modelbox
from deploys.planning.docker_choice import Engine
from deploys.planning.gpu_access import GpuAccess, has_gpu
from deploys.planning.image_plan import LocalFiles, driver_afterwards
from deploys.planning.modelbox_boot import INSIDE, Boot, can_remake, choose_boot, refuse_systemd, remake
from deploys.planning.modelbox_wish import read_keys, refuse_wish
from deploys.planning.records import Answer, Area, DriverPlan, Note, Project, Refusal
from deploys.planning.service_image import PROJECTS, ServiceImage, pulled_image, read_file, short_digest
from deploys.planning.versions import may_reach
from facts.model import Host

SERVICE = "modelbox"
PROJECT = "/root/modelbox"  # the owner's folder, inside
SSH, EDITOR, HTTP = 2222, 1104, 8080  # ports inside
LOOPBACK = "127.0.0.1"  # of the host
GIB = 1024**3

# What root needs to look after its own container; an SSH server needs two more.
CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID")
SSH_CAPABILITIES = ("AUDIT_WRITE", "SYS_CHROOT")

# CUDA's driver is asked itself; the images have Python.
GPU_PROOF = 'python3 -c \'import ctypes; print("cuInit says", ctypes.CDLL("libcuda.so.1").cuInit(0))\''

# Of Ascend processors, besides each one's own device (ModelBox' book; hiascend.com, on containers without its runtime).
ASCEND_DEVICES = ("/dev/davinci_manager", "/dev/hisi_hdc", "/dev/devmm_svm")
ASCEND_FILES = (
    "/usr/local/Ascend/driver/lib64",
    "/usr/local/Ascend/driver/tools",
    "/usr/local/dcmi",
    "/usr/local/bin/npu-smi",
    "/etc/ascend_install.info",
)


@dataclass(frozen=True)
class Accelerator:
    """What it computes with."""

    engine: str  # whose image it takes
    keys: Mapping[str, object] = field(default_factory=dict)  # of the service
    environment: Mapping[str, object] = field(default_factory=dict)
    volumes: tuple[object, ...] = ()
    proof: tuple[str, str] | None = None  # script inside, and the text that its output must have
    notes: tuple[Note, ...] = ()


def plan_modelbox(
    name: str,
    wish: Modelbox,
    host: Host,
    catalogue: Catalogue,
    files: LocalFiles,
    *,
    driver: DriverPlan,
    gpu: GpuAccess | Refusal,
    docker: Engine,
) -> Project | Refusal:
    """The project of a wish for ModelBox, or why it cannot be had here.

    ``name`` is the wish's. ``driver`` decides on the image, ``gpu`` is how containers of this host get the GPU, and
    ``docker`` how systemd boots.
    """
    if refusal := refuse_wish(wish):
        return refusal
    keys = read_keys(wish, files)
    if isinstance(keys, Refusal):
        return keys
    accelerator = _choose_accelerator(wish, host, gpu, docker)
    if isinstance(accelerator, Refusal):
        return accelerator
    boot = choose_boot(wish, host, docker)
    if isinstance(boot, Refusal):
        return boot
    named = wish.image or f"modelbox {accelerator.engine} develop"
    image = pulled_image(named, host, catalogue, driver=driver_afterwards(driver, host))
    if isinstance(image, Refusal):
        return image
    if boot.remakes and not can_remake(str(image.service["image"])):
        seen = f"the environment of {image.service['image']} is not known here, and would be lost"
        return refuse_systemd(seen, "take one of ModelBox' own development images with CUDA")
    return _project(name, wish, host, image, accelerator, boot, keys)


# What it computes with


def _choose_accelerator(wish: Modelbox, host: Host, gpu: GpuAccess | Refusal, docker: Engine) -> Accelerator | Refusal:
    """What was asked for; for ``auto`` the host's GPU, else its Ascend processors, else none."""
    # Nobody asks for an engine of NVIDIA's on a host with Ascend processors by not asking for one.
    engine = wish.engine if "engine" in wish.model_fields_set or wish.accelerator == "gpu" else ""
    found = wish.accelerator
    if found == "auto":
        found = "gpu" if has_gpu(host) and engine != "mindspore" else "none"
        found = "ascend" if found == "none" and host.devices.ascend and engine in ("", "mindspore") else found
    if found == "gpu":
        return _gpu(wish.engine, gpu)
    if found == "ascend":
        return _ascend(engine or "mindspore", host, docker)
    # Where every container gets the GPU by default, this one does not.
    nothing = {"NVIDIA_VISIBLE_DEVICES": "void"}
    because = "accelerator is none" if wish.accelerator == "none" else f"no device of the host is for {wish.engine}"
    notes = (Note("only what computes on the processor works in it", because),)
    return Accelerator(wish.engine, environment=nothing, notes=notes)


def _gpu(engine: str, gpu: GpuAccess | Refusal) -> Accelerator | Refusal:
    if isinstance(gpu, Refusal):
        remedy = f'{gpu.remedy}; or set accelerator = "none", for the processor alone'
        return Refusal(Area.CONTAINERS, gpu.brief, gpu.seen, remedy)
    if engine == "mindspore":
        return _refuse(
            "the images with mindspore are for Ascend processors", "accelerator is gpu", "set another engine"
        )
    service = dict(gpu.service)
    environment = service.pop("environment", {})
    assert isinstance(environment, Mapping)
    # Decoding and encoding video is what NVIDIA calls `video`.
    capabilities = {"NVIDIA_DRIVER_CAPABILITIES": "compute,utility,video"}
    return Accelerator(engine, service, {**environment, **capabilities}, proof=(GPU_PROOF, "cuInit says 0"))


def _ascend(engine: str, host: Host, docker: Engine) -> Accelerator | Refusal:
    """The devices, and the host's driver read-only."""
    devices = host.devices.ascend
    if not devices:
        return _refuse("the host has no Ascend processor", "no /dev/davinci0", 'set accelerator = "auto"')
    if engine != "mindspore":
        seen = f"engine is {engine}"
        return _refuse("the images for Ascend processors have mindspore alone", seen, 'set engine = "mindspore"')
    # Docker Compose 2 would make a folder of each that is not there, and the one before knows no such key.
    is_old = not may_reach(docker.compose, "2")
    never = {} if is_old else {"bind": {"create_host_path": False}}
    binds = [{"type": "bind", "source": path, "target": path, "read_only": True, **never} for path in ASCEND_FILES]
    choice = "the image is for Ascend 310"
    note = Note(choice, "`npu-smi info` tells; for a 310P set image to modelbox-develop-mindspore_…-d310p-…")
    keys = {"devices": [f"{path}:{path}" for path in (*devices, *ASCEND_DEVICES)]}
    environment = {"NVIDIA_VISIBLE_DEVICES": "void"}
    return Accelerator(engine, keys, environment, tuple(binds), (f"ls {devices[0]}", devices[0]), (note,))


# The project


def _project(
    name: str, wish: Modelbox, host: Host, image: ServiceImage, accelerator: Accelerator, boot: Boot, keys: str | None
) -> Project:
    remade = remake(str(image.service["image"]), image.needs[0]) if boot.remakes else None
    files = _files(wish, boot, keys)
    service = _service(name, wish, host, image.service, accelerator, boot)
    if remade:
        service["image"] = remade[0]
        files = (*files, ("Dockerfile", remade[1]))
    # Compose makes a container anew when its definition changes, and a file that is mounted is no part of that.
    texts = "\0".join(text for _, text in files)
    service["labels"] = {"gpu-hosts.files": short_digest(texts), **image.labels}
    volumes: dict[str, object] = {"home": {}, **({"ssh": {}} if keys else {})}
    document = {"services": {SERVICE: service}, "volumes": volumes}
    answers = (
        *([Answer(wish.address, wish.ssh_port, "SSH-2.0")] if keys else []),
        # It answers 403 to those whom its access list does not let in (modelbox, src/modelbox/server/http_helper.cc).
        *([Answer(LOOPBACK, wish.editor_port, "HTTP/1.1 200", "/editor/")] if wish.editor else []),
    )
    return Project(
        name,
        (("compose.yaml", compose_text(document)), *files),
        ((SERVICE, "running"),),
        build=remade[0] if remade else "",
        answers=answers,
        images=image.needs,
        patience=180,
        proofs=tuple((SERVICE, *proof) for proof in (accelerator.proof, boot.proof) if proof),
        notes=(*image.notes, *accelerator.notes, *boot.notes, *_notes(name, wish, host)),
    )


def _files(wish: Modelbox, boot: Boot, keys: str | None) -> tuple[tuple[str, str], ...]:
    """Those of the project, but compose.yaml."""
    names = (*(name for name, _ in _mounted(wish, boot) if name != "authorized_keys"), *_filters(wish))
    texts = tuple((name, read_file("modelbox", name)) for name in names)
    return (*texts, ("authorized_keys", keys)) if keys else texts


def _mounted(wish: Modelbox, boot: Boot) -> tuple[tuple[str, str], ...]:
    """Files that are mounted, and where. Not their folder: what is mounted stays there when that is another's."""
    names = (*(["start.sh"] if not wish.systemd or boot.units else []),)
    names = (*names, *(["sshd_config", "authorized_keys"] if wish.ssh == "key" else []))
    return (*((name, f"{INSIDE}/{name}") for name in names), *boot.units)


def _filters(wish: Modelbox) -> tuple[str, ...]:
    return ("seccomp.json",) if wish.gdb else ()


def _service(
    name: str,
    wish: Modelbox,
    host: Host,
    image: Mapping[str, object],
    accelerator: Accelerator,
    boot: Boot,
) -> dict[str, object]:
    # A build may need much. Kernels differ in the last megabytes that they count; that is to change nothing.
    memory = f"{max(host.memory * 3 // 4 // GIB, 1)}g" if host.memory else "8g"
    folder = f"{PROJECTS}/{name}"
    parts = [*(["ssh"] if wish.ssh == "key" else []), *(["editor"] if wish.editor else [])]
    capabilities = () if wish.systemd else (*CAPABILITIES, *(SSH_CAPABILITIES if wish.ssh == "key" else ()))
    return {
        **base_service(name, wish, memory=memory, cpus=float(host.cpus or 1)),
        **image,
        "hostname": name.replace("_", "-"),
        "working_dir": PROJECT,
        "pids_limit": 8192,  # builds start many
        **boot.keys,
        **accelerator.keys,
        "environment": {"GPU_HOSTS_START": " ".join(parts), **accelerator.environment},
        "cap_add": [*capabilities, *(["SYS_PTRACE"] if wish.gdb else [])],
        "security_opt": [*boot.security, *(f"seccomp:{file}" for file in _filters(wish))],
        "ports": _ports(wish),
        "volumes": [
            *(f"{folder}/{file}:{path}:ro" for file, path in _mounted(wish, boot)),
            # The short form: Docker makes the folder where it is not there, as root's.
            f"{wish.project}:{PROJECT}",
            "home:/root",
            *(["ssh:/var/lib/gpu-hosts/ssh"] if wish.ssh == "key" else []),
            *boot.volumes,
            *accelerator.volumes,
        ],
    }


def _ports(wish: Modelbox) -> list[str]:
    published = (
        *([(wish.address, wish.ssh_port, SSH)] if wish.ssh == "key" else []),
        *([(LOOPBACK, wish.editor_port, EDITOR)] if wish.editor else []),
        (wish.address, wish.http_port, HTTP),
    )
    return [f"{before_port(address)}:{port}:{inside}" for address, port, inside in published]


def _notes(name: str, wish: Modelbox, host: Host) -> tuple[Note, ...]:
    """How people get in, and what stays of their work."""
    address = read_address(wish.address)
    jump = f"-J {host.name} " if address and address.is_loopback else ""
    ssh = f"ssh {jump}-p {wish.ssh_port} root@{wish.address}"
    enter = f"docker exec -it gpu-hosts-{name} bash"
    notes = [Note(f"get in by `{ssh if wish.ssh == 'key' else enter}`", f"ssh is {wish.ssh}")]
    if wish.editor:
        port = wish.editor_port
        forward = f"ssh -L {port}:{LOOPBACK}:{port} {host.name}"
        because = "it asks for no password, so it is on the host's loopback alone"
        notes.append(Note(f"the editor is at http://127.0.0.1:{port}/editor/ after `{forward}`", because))
    if wish.gdb:
        because = "gdb is true: SYS_PTRACE, and Docker's own filter of system calls without its rule on personality"
        notes.append(Note("processes in it can look into one another", because))
    because = f"{wish.project} on the host, made as root's where it is not there, and a volume"
    return (*notes, Note(f"{PROJECT} and /root outlive the container", because))


def _refuse(brief: str, seen: str, remedy: str) -> Refusal:
    return Refusal(Area.CONTAINERS, brief, seen, remedy)
