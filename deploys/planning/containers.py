"""The wished containers of one host: each a compose project, started where it is missing or has changed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from deploys.planning.catalogue import Catalogue
from deploys.planning.compose import Compose, plan_compose
from deploys.planning.compose_files import NOTED, OWNERS, plan_compose_file
from deploys.planning.compose_ports import Held, Published, note_reachable, read_published, share_ports
from deploys.planning.container_settings import ComposeFile, ContainerWish, HelloAudio, HelloGpu, HelloVideo, Modelbox
from deploys.planning.docker_choice import Engine, engine_afterwards
from deploys.planning.gpu_access import choose_gpu_access
from deploys.planning.hello import plan_hello_audio, plan_hello_gpu
from deploys.planning.hello_video import plan_hello_video
from deploys.planning.image_plan import LocalFiles
from deploys.planning.images import identity, is_present
from deploys.planning.modelbox import plan_modelbox
from deploys.planning.proof import takes_cdi_afterwards
from deploys.planning.records import (
    Area,
    ContainersPlan,
    DaemonPlan,
    DockerPlan,
    DriverPlan,
    ImagesPlan,
    Note,
    Project,
    Refusal,
    Refused,
    ToolkitPlan,
)
from deploys.planning.service_image import PROJECTS
from deploys.planning.settings import Settings
from facts.model import Container, Host

PREFIX = "gpu-hosts-"  # of the names of Docker Compose's projects
NAME = rf"{PROJECTS}/([a-z0-9][a-z0-9_-]*)/(.+)"
SEE = "see what the images' own refusal says, then run this again"
UNFINISHED = "unfinished"  # beside its files while what runs need not be of them


@dataclass(frozen=True)
class _Others:
    """What this run makes true before containers start."""

    driver: DriverPlan
    docker: DockerPlan
    toolkit: ToolkitPlan
    daemon: DaemonPlan
    engine: Engine
    no_driver: Refusal | None  # why the GPU's will not work


def plan_containers(
    settings: Settings,
    host: Host,
    catalogue: Catalogue,
    files: LocalFiles,
    *,
    driver: DriverPlan,
    docker: DockerPlan,
    toolkit: ToolkitPlan,
    daemon: DaemonPlan,
    no_driver: Refusal | None,
) -> ContainersPlan:
    """Every wish as a project of files, or refused; those that are not right yet are to be started.

    ``no_driver`` refuses those that need the GPU.
    """
    there = _files_there(host)
    remove = tuple(name for name in there if name not in settings.containers)
    compose: Compose | Refusal = plan_compose(host, catalogue, docker=docker) if settings.containers else Compose("")
    if isinstance(compose, Refusal):
        return ContainersPlan(refusal=compose)
    version = engine_afterwards(host, catalogue, docker=docker)
    takes_cdi = takes_cdi_afterwards(host, docker=docker, daemon=daemon, version=version)
    engine = Engine(version, compose.version, takes_cdi)
    others = _Others(driver, docker, toolkit, daemon, engine, no_driver)
    if settings.gpu_proof_image:  # who has an image of theirs in which CUDA is initialised has no other there
        proof = catalogue.proof.model_copy(update={"image": settings.gpu_proof_image})
        catalogue = catalogue.model_copy(update={"proof": proof})
    answers = {
        name: _plan_one(name, wish, host, catalogue, files, others) for name, wish in settings.containers.items()
    }
    answers = _share_ports(_without_taken_cameras(answers), host)
    projects = tuple(one for one in answers.values() if isinstance(one, Project))
    start = tuple(project for project in projects if project_faults(project, host))
    return ContainersPlan(
        start=start,
        remove=remove,
        projects=projects,
        refused=tuple(Refused(name, one) for name, one in answers.items() if isinstance(one, Refusal)),
        tools=compose.tools,
        notes=(*compose.notes, *_describe(projects, start, remove, host)),
    )


def _plan_one(
    name: str, wish: ContainerWish, host: Host, catalogue: Catalogue, files: LocalFiles, others: _Others
) -> Project | Refusal:
    planned = _refuse_limits(wish, host) or _plan_kind(name, wish, host, catalogue, files, others)
    return replace(planned, brief=f"{name}: {planned.brief}") if isinstance(planned, Refusal) else planned


def _plan_kind(
    name: str, wish: ContainerWish, host: Host, catalogue: Catalogue, files: LocalFiles, others: _Others
) -> Project | Refusal:
    gpu = choose_gpu_access(
        host,
        docker=others.docker,
        toolkit=others.toolkit,
        daemon=others.daemon,
        engine=others.engine,
        by=wish.gpu_by if isinstance(wish, ComposeFile) else "auto",
        no_driver=others.no_driver,
    )
    match wish:
        case HelloGpu():
            return plan_hello_gpu(name, wish, host, catalogue, driver=others.driver, gpu=gpu)
        case HelloAudio():
            return plan_hello_audio(name, wish, host, catalogue)
        case HelloVideo():
            return plan_hello_video(name, wish, host, catalogue, engine=others.engine)
        case ComposeFile():
            return plan_compose_file(name, wish, files, gpu=gpu)
        case Modelbox():
            return plan_modelbox(
                name, wish, host, catalogue, files, driver=others.driver, gpu=gpu, docker=others.engine
            )


def _refuse_limits(wish: ContainerWish, host: Host) -> Refusal | None:
    """Docker starts no container that may use more processors than there are."""
    if not wish.cpus or not host.cpus or wish.cpus <= host.cpus:
        return None
    brief = "the host does not have so many processors"
    return Refusal(Area.CONTAINERS, brief, f"cpus is {wish.cpus:g}, the host has {host.cpus}", "set cpus to fewer")


def _without_taken_cameras(answers: dict[str, Project | Refusal]) -> dict[str, Project | Refusal]:
    """The answers, refused where an earlier wish has the camera.

    A stream is one program's alone (kernel, Documentation/userspace-api/media/v4l/open.rst, "Shared Data Streams").
    """
    taken: dict[str, str] = {}
    checked = dict(answers)
    for name, answer in answers.items():
        if not isinstance(answer, Project) or not answer.camera:
            continue
        other = taken.setdefault(answer.camera, name)
        if other != name:
            brief = f"{name}: the container {other} has this camera"
            remedy = "name another one in `camera`, or take one of the two wishes away"
            seen = f"both would take pictures from {answer.camera}, which gives them to one alone"
            checked[name] = Refusal(Area.CONTAINERS, brief, seen, remedy)
    return checked


def _share_ports(answers: dict[str, Project | Refusal], host: Host) -> dict[str, Project | Refusal]:
    """The answers in the order to start them, refused where something else has a port that is to be published."""
    held = _held(answers, host)
    wanted = {name: _published(one.files) for name, one in answers.items() if isinstance(one, Project)}
    removed: dict[str, tuple[Published, ...]] = {name: () for name in held if name not in answers}
    order, refusals = share_ports(removed | wanted, held, host)
    refused = {name: replace(one, brief=f"{name}: {one.brief}") for name, one in refusals.items()}
    return {name: refused.get(name, answers[name]) for name in dict.fromkeys((*order, *answers)) if name in answers}


def _published(files: Iterable[tuple[str, str]]) -> tuple[Published, ...]:
    return tuple(port for path, text in files if path.endswith(".yaml") for port in read_published(text))


def _held(answers: dict[str, Project | Refusal], host: Host) -> Held:
    running = {container.project for container in host.docker.running_containers}
    there = _files_there(host).items()
    return {name: _held_by(files, answers.get(name)) for name, files in there if PREFIX + name in running}


def _held_by(files: dict[str, str], answer: Project | Refusal | None) -> tuple[Published, ...] | None:
    """What a project that runs publishes. The probe tells the owner's file by its digest: it is known if as planned."""
    text = dict(answer.files).get(OWNERS, "") if isinstance(answer, Project) else ""
    if UNFINISHED in files or files.get(OWNERS) not in (None, _as_read(OWNERS, text)):
        return None
    return _published((path, text if path == OWNERS else one) for path, one in files.items())


def _describe(
    projects: Iterable[Project], start: tuple[Project, ...], remove: tuple[str, ...], host: Host
) -> tuple[Note, ...]:
    right = [project.name for project in projects if project not in start]
    return (
        *([Note(f"{', '.join(right)}: as wished", "files and containers are as planned")] if right else []),
        *(Note(f"starts {one.name}", "; ".join(project_faults(one, host))) for one in start),
        *(note for project in projects for note in project.notes),
        *(
            replace(note, choice=f"{project.name}: {note.choice}")
            for project in projects
            for note in note_reachable(_published(project.files))
        ),
        *(Note(f"removes {name}", "nothing wishes for it") for name in remove),
    )


def refuse_without_images(
    plan: ContainersPlan, host: Host, images: ImagesPlan, *, because: str | None
) -> ContainersPlan:
    """The plan without what lacks an image: one that cannot be had, or, where none comes, as ``because`` says, any."""
    found = {project.name: _refuse_lost(project, images) for project in plan.projects}
    for project in plan.start if because else ():
        if lacking := [image for image in project.images if not is_present(image, host, by_tag=project.by_tag)]:
            seen = f"{', '.join(lacking)}: {because}"
            brief = f"{project.name}: its image does not come"
            found[project.name] = found[project.name] or Refusal(Area.CONTAINERS, brief, seen, SEE)
    refused = tuple(Refused(name, refusal) for name, refusal in found.items() if refusal)
    names = {one.name for one in refused}
    return replace(
        plan,
        start=tuple(project for project in plan.start if project.name not in names),
        projects=tuple(project for project in plan.projects if project.name not in names),
        refused=(*plan.refused, *refused),
        notes=tuple(note for note in plan.notes if note.choice not in {f"starts {name}" for name in names}),
    )


def _refuse_lost(project: Project, images: ImagesPlan) -> Refusal | None:
    """What the registries say of this project's images that cannot be had."""
    named = {identity(image) for image in project.images}
    lost = [(seen, remedy) for reference, seen, remedy in images.lost if identity(reference) in named]
    if not lost:
        return None
    brief = f"{project.name}: its image cannot be had"
    remedy = "; ".join(dict.fromkeys(remedy for _, remedy in lost))
    return Refusal(Area.CONTAINERS, brief, "; ".join(seen for seen, _ in lost), remedy)


def container_faults(plan: ContainersPlan, host: Host) -> tuple[str, ...]:
    """What is not as planned, each as a phrase. Refused wishes are not among them."""
    there = _files_there(host)
    return (
        *(f"{project.name}: {fault}" for project in plan.projects for fault in project_faults(project, host)),
        *(f"{name} is still there" for name in plan.remove if name in there),
    )


def project_faults(project: Project, host: Host) -> tuple[str, ...]:
    """What of one project is not as it must be."""
    there = _files_there(host).get(project.name)
    if there is None:
        return ("it is not there",)
    files = {path: text for path, text in there.items() if path != NOTED}
    if files != {path: _as_read(path, text) for path, text in project.files}:
        return ("its files are others",)
    if host.docker.containers is None:
        return ("Docker does not say what runs",)
    wanted = dict(project.services)
    ours = [one for one in host.docker.containers if one.project == PREFIX + project.name and not one.one_off]
    known = dict.fromkeys((*wanted, *there.get(NOTED, "").split()))
    missing = [service for service in known if service not in {one.service for one in ours}]
    faults = ((one.service, _fault(one, wanted.get(one.service, "running"))) for one in ours)
    return (
        *([] if ours or wanted else ["no container of it is there"]),
        *(f"{service} is not there" for service in missing),
        *(f"{service} {fault}" for service, fault in faults if fault),
    )


def _as_read(path: str, text: str) -> str:
    """A file's text as the probe tells it: of the owner's, which root alone may read, the digest."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}\n" if path == OWNERS else text


def _fault(container: Container, wanted: str) -> str:
    """Why a container is not what its service must come to: healthy, running (healthy where that is known), done."""
    if container.restarting:
        return "starts again and again"
    if wanted == "done":
        if container.running:
            return "has not ended yet"
        return "" if container.exit_code == 0 else _ended(container)
    if not container.running:
        return f"does not run, and {_ended(container)}"
    if container.health not in ("", "healthy"):
        return f"is {container.health}"
    return "has no health check" if wanted == "healthy" and not container.health else ""


def _ended(container: Container) -> str:
    return "was never started" if container.exit_code is None else f"has ended with {container.exit_code}"


def _files_there(host: Host) -> dict[str, dict[str, str]]:
    """Our files on the host: by project and path below its folder."""
    found: dict[str, dict[str, str]] = {}
    for file in host.docker.container_files:
        if parts := re.fullmatch(NAME, file.path):
            found.setdefault(parts[1], {})[parts[2]] = file.text
    return found
