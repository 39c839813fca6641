"""make_plan: settings, host and catalogue in, one plan out. Areas that need a refused one are skipped by name."""

from __future__ import annotations

from dataclasses import replace

from deploys.planning.cameras import plan_cameras
from deploys.planning.catalogue import Catalogue
from deploys.planning.cdi import plan_cdi
from deploys.planning.containers import plan_containers, refuse_without_images
from deploys.planning.daemon import plan_daemon
from deploys.planning.docker import plan_docker
from deploys.planning.driver import plan_driver
from deploys.planning.gpu_access import refuse_driver
from deploys.planning.host_plan import AreaPlan, Plan
from deploys.planning.image_plan import LocalFiles, plan_images
from deploys.planning.images import is_present
from deploys.planning.mirrors import plan_mirrors
from deploys.planning.obstacles import refuse_host
from deploys.planning.proof import plan_proof
from deploys.planning.reboot import plan_reboot
from deploys.planning.records import (
    Area,
    CachePlan,
    CamerasPlan,
    ContainersPlan,
    DaemonPlan,
    DockerPlan,
    DriverPlan,
    ImagesPlan,
    MirrorsPlan,
    Note,
    ProofPlan,
    RebootPlan,
    Refusal,
    SshdPlan,
    ToolkitPlan,
)
from deploys.planning.registry_cache import plan_registry_cache
from deploys.planning.settings import Problem, Settings
from deploys.planning.sshd import plan_sshd
from deploys.planning.toolkit import plan_toolkit
from facts.model import Host

# A site cache is set up by a run of its own: the others' settings name the certificate that this makes.
ALL_AREAS = frozenset(Area) - {Area.CACHE}
NO_FILES = LocalFiles()


def make_plan(
    settings: Settings,
    host: Host,
    catalogue: Catalogue,
    *,
    areas: frozenset[Area] = ALL_AREAS,
    is_controller: bool = False,
    update: bool = False,
    files: LocalFiles = NO_FILES,
) -> Plan:
    """Plan every area of one host.

    ``areas`` limits what may be changed: the others are looked at, and what needs a change of theirs is skipped.
    ``is_controller`` says that the host is the machine we run on, which is never rebooted.
    ``update`` looks for a newer version of the installed driver, which is held.
    ``files`` are those on the controller that the settings name. No registry has been asked for the images yet.
    """
    if refusal := refuse_host(host):
        return refused_plan(refusal)
    sshd = plan_sshd(settings, host)
    driver = plan_driver(settings, host, catalogue, update=update)
    docker = plan_docker(settings, host, catalogue)
    reboot = plan_reboot(settings, host, driver, is_controller=is_controller)
    toolkit = _plan_toolkit(settings, host, catalogue, driver=driver)
    daemon = _plan_daemon(settings, host, catalogue, areas, docker=docker, toolkit=toolkit)
    toolkit = _plan_cdi(toolkit, host, catalogue, areas, driver=driver, docker=docker, daemon=daemon, reboot=reboot)
    if toolkit.uninstall and (blocked := _blocked((Area.DAEMON, daemon), areas=areas)):
        toolkit = ToolkitPlan(skipped=blocked)
    proof = _plan_proof(
        settings, host, catalogue, areas, driver=driver, docker=docker, toolkit=toolkit, daemon=daemon, reboot=reboot
    )
    cache = _plan_cache(settings, host, catalogue, areas, files, docker=docker)
    mirrors = _plan_mirrors(settings, host, areas, files, docker=docker)
    cameras = plan_cameras(settings, host, catalogue)
    containers = _plan_containers(
        settings,
        host,
        catalogue,
        areas,
        files,
        driver=driver,
        docker=docker,
        toolkit=toolkit,
        daemon=daemon,
        reboot=reboot,
    )
    images = _plan_images(
        settings,
        host,
        catalogue,
        areas,
        files,
        driver=driver,
        docker=docker,
        proof=proof,
        mirrors=mirrors,
        containers=containers,
    )
    plan = Plan(None, sshd, driver, docker, toolkit, daemon, cache, mirrors, images, reboot, proof, cameras, containers)
    return _limit(settle_images(plan, host, images), areas)


def settle_images(plan: Plan, host: Host, images: ImagesPlan) -> Plan:
    """The plan with its images as the registries' answers leave them. What needs one that does not come is skipped."""
    return replace(
        plan,
        images=images,
        proof=_proof_with(images, plan.proof, host),
        containers=_containers_with(images, plan.containers, host),
    )


def _proof_with(images: ImagesPlan, proof: ProofPlan, host: Host) -> ProofPlan:
    """The proof, skipped where its image does not come."""
    blocked = _blocked((Area.IMAGES, images))
    return ProofPlan(skipped=blocked) if blocked and proof.run and not is_present(proof.image, host) else proof


def _containers_with(images: ImagesPlan, containers: ContainersPlan, host: Host) -> ContainersPlan:
    """The containers, but for those whose images do not come."""
    return refuse_without_images(containers, host, images, because=_blocked((Area.IMAGES, images)))


def refused_plan(refusal: Refusal) -> Plan:
    """The plan for a host on which nothing can be done."""
    because = refusal.area
    return Plan(
        refusal,
        SshdPlan(skipped=because),
        DriverPlan(skipped=because),
        DockerPlan(skipped=because),
        ToolkitPlan(skipped=because),
        DaemonPlan(skipped=because),
        CachePlan(skipped=because),
        MirrorsPlan(skipped=because),
        ImagesPlan(skipped=because),
        RebootPlan(skipped=because),
        ProofPlan(skipped=because),
        CamerasPlan(skipped=because),
        ContainersPlan(skipped=because),
    )


def refuse_settings(problems: tuple[Problem, ...]) -> Refusal:
    """The refusal of a host whose settings cannot be used, naming every problem."""
    return Refusal(
        Area.HOST,
        "the inventory's settings for this host cannot be used",
        "; ".join(str(problem) for problem in problems),
        "correct them in the inventory or its group data; nothing was changed",
    )


def _plan_toolkit(settings: Settings, host: Host, catalogue: Catalogue, *, driver: DriverPlan) -> ToolkitPlan:
    """The toolkit needs a driver, but for its removal."""
    if settings.nvidia_toolkit != "absent":
        if blocked := _blocked((Area.DRIVER, driver)):
            return ToolkitPlan(skipped=blocked)
        if driver.absent:
            because = "nvidia_driver is absent"
            return ToolkitPlan(notes=(Note("is left as it is, like the daemon's runtimes", because),))
    return plan_toolkit(settings, host, catalogue)


def _plan_cdi(
    toolkit: ToolkitPlan,
    host: Host,
    catalogue: Catalogue,
    areas: frozenset[Area],
    *,
    driver: DriverPlan,
    docker: DockerPlan,
    daemon: DaemonPlan,
    reboot: RebootPlan,
) -> ToolkitPlan:
    """CDI specifications are made of a driver that is loaded, or will be by this run."""
    if toolkit.absent or toolkit.refusal or toolkit.skipped or driver.absent or (reboot.due and not reboot.allowed):
        return toolkit
    if not host.driver.loaded_version and _blocked((Area.DRIVER, driver), areas=areas):
        return toolkit
    is_installed = Area.DRIVER in areas and bool(driver.packages or driver.reload)
    changes_driver = is_installed or (Area.REBOOT in areas and reboot.due)
    return plan_cdi(toolkit, host, catalogue, docker=docker, daemon=daemon, changes_driver=changes_driver)


def _plan_daemon(
    settings: Settings,
    host: Host,
    catalogue: Catalogue,
    areas: frozenset[Area],
    *,
    docker: DockerPlan,
    toolkit: ToolkitPlan,
) -> DaemonPlan:
    """Without a toolkit the nvidia runtime is left as it is, and the settings are still brought into daemon.json."""
    if blocked := _blocked((Area.DOCKER, docker), areas=areas):
        return DaemonPlan(skipped=blocked)
    blocked = None if toolkit.absent else _blocked((Area.TOOLKIT, toolkit), areas=areas)
    if not blocked:
        return plan_daemon(settings, host, catalogue, docker=docker, toolkit=toolkit)
    plan = plan_daemon(settings, host, catalogue, docker=docker, toolkit=ToolkitPlan(skipped=blocked))
    return plan if plan.text is not None or plan.refusal else DaemonPlan(skipped=blocked)


def _blocked(*needed: tuple[Area, AreaPlan], areas: frozenset[Area] = ALL_AREAS) -> str | None:
    """The name of the first needed area that will not be there."""
    for area, plan in needed:
        if plan.refusal or plan.skipped:
            return f"{area}, which is {'refused' if plan.refusal else 'skipped'}"
        if area not in areas and _changes(plan):
            return f"{area}, which is not right yet and not part of this run"
    return None


def _blocked_driver(areas: frozenset[Area], *, driver: DriverPlan, reboot: RebootPlan) -> str | None:
    """Why the driver will not work yet when this run comes to its containers, or None where it will."""
    if blocked := _blocked((Area.DRIVER, driver), (Area.REBOOT, reboot), areas=areas):
        return blocked
    # One that is allowed may only turn out to be due.
    is_left = not reboot.allowed or (driver.reboot_due and Area.REBOOT not in areas)
    return f"{Area.REBOOT}, which is due" if reboot.due and is_left else None


def _changes(plan: AreaPlan) -> bool:
    match plan:
        case DriverPlan():
            steps = plan.packages or plan.uninstall or plan.unfinished or plan.runfile or plan.reload
            return bool(steps) and not plan.may_be_there
        case ToolkitPlan():
            return bool(plan.packages or plan.uninstall)
        case DockerPlan():
            return bool(plan.packages) or plan.start
        case DaemonPlan():
            return plan.text is not None
        case MirrorsPlan():
            return bool(plan.files or plan.remove)
        case _:
            return False


def _plan_proof(
    settings: Settings,
    host: Host,
    catalogue: Catalogue,
    areas: frozenset[Area],
    *,
    driver: DriverPlan,
    docker: DockerPlan,
    toolkit: ToolkitPlan,
    daemon: DaemonPlan,
    reboot: RebootPlan,
) -> ProofPlan:
    needed = ((Area.DRIVER, driver), (Area.DOCKER, docker), (Area.TOOLKIT, toolkit), (Area.DAEMON, daemon))
    blocked = _blocked(*needed, areas=areas) or _blocked_driver(areas, driver=driver, reboot=reboot)
    if blocked:
        return ProofPlan(skipped=blocked)
    if driver.absent or toolkit.absent:
        return ProofPlan()
    changes_driver = bool(driver.packages or driver.reload or reboot.due)
    image = settings.gpu_proof_image or catalogue.proof.image
    return plan_proof(image, host, docker=docker, toolkit=toolkit, daemon=daemon, changes_driver=changes_driver)


def _plan_cache(
    settings: Settings,
    host: Host,
    catalogue: Catalogue,
    areas: frozenset[Area],
    files: LocalFiles,
    *,
    docker: DockerPlan,
) -> CachePlan:
    if blocked := _blocked((Area.DOCKER, docker), areas=areas):
        return CachePlan(skipped=blocked)
    marks = dict(files.cache_marks)
    return plan_registry_cache(settings, host, catalogue, docker=docker, now=host.time, marks=marks)


def _plan_mirrors(
    settings: Settings, host: Host, areas: frozenset[Area], files: LocalFiles, *, docker: DockerPlan
) -> MirrorsPlan:
    if blocked := _blocked((Area.DOCKER, docker), areas=areas):
        return MirrorsPlan(skipped=blocked)
    return plan_mirrors(settings, host, ca=files.mirror_ca, docker=docker)


def _plan_images(
    settings: Settings,
    host: Host,
    catalogue: Catalogue,
    areas: frozenset[Area],
    files: LocalFiles,
    *,
    driver: DriverPlan,
    docker: DockerPlan,
    proof: ProofPlan,
    mirrors: MirrorsPlan,
    containers: ContainersPlan,
) -> ImagesPlan:
    if blocked := _blocked((Area.DOCKER, docker), (Area.MIRRORS, mirrors), areas=areas):
        return ImagesPlan(skipped=blocked)
    also = tuple(image for project in containers.projects for image in project.images)
    tags = tuple(image for project in containers.start if project.by_tag for image in project.images)
    return plan_images(
        settings, host, catalogue, files, driver=driver, proof=proof, mirrors=mirrors, also=also, tags=tags
    )


def _plan_containers(
    settings: Settings,
    host: Host,
    catalogue: Catalogue,
    areas: frozenset[Area],
    files: LocalFiles,
    *,
    driver: DriverPlan,
    docker: DockerPlan,
    toolkit: ToolkitPlan,
    daemon: DaemonPlan,
    reboot: RebootPlan,
) -> ContainersPlan:
    if not settings.containers and not host.docker.container_files:
        return ContainersPlan()
    if blocked := _blocked((Area.DOCKER, docker), areas=areas):
        return ContainersPlan(skipped=blocked)
    # What this run does not do, it does not make true.
    if blocked := _blocked((Area.TOOLKIT, toolkit), areas=areas):
        toolkit = ToolkitPlan(skipped=blocked)
    if blocked := _blocked((Area.DAEMON, daemon), areas=areas):
        daemon = DaemonPlan(skipped=blocked)
    blocked = _blocked_driver(areas, driver=driver, reboot=reboot)
    return plan_containers(
        settings,
        host,
        catalogue,
        files,
        driver=driver,
        docker=docker,
        toolkit=toolkit,
        daemon=daemon,
        no_driver=refuse_driver(driver, reboot, blocked=blocked),
    )


def _limit(plan: Plan, areas: frozenset[Area]) -> Plan:
    """Blank out the areas that are not part of this run."""
    return replace(
        plan,
        selected=areas,
        sshd=plan.sshd if Area.SSHD in areas else SshdPlan(),
        driver=plan.driver if Area.DRIVER in areas else DriverPlan(),
        docker=plan.docker if Area.DOCKER in areas else DockerPlan(),
        toolkit=plan.toolkit if Area.TOOLKIT in areas else ToolkitPlan(),
        daemon=plan.daemon if Area.DAEMON in areas else DaemonPlan(),
        cache=plan.cache if Area.CACHE in areas else CachePlan(),
        mirrors=plan.mirrors if Area.MIRRORS in areas else MirrorsPlan(),
        images=plan.images if Area.IMAGES in areas else ImagesPlan(),
        reboot=plan.reboot if Area.REBOOT in areas else RebootPlan(),
        proof=plan.proof if Area.PROOF in areas else ProofPlan(),
        cameras=plan.cameras if Area.CAMERAS in areas else CamerasPlan(),
        containers=plan.containers if Area.CONTAINERS in areas else ContainersPlan(),
    )
