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
from deploys.planning.host_plan import AreaPlan, Plan
from deploys.planning.image_plan import LocalFiles, plan_images
from deploys.planning.images import is_present
from deploys.planning.mirrors import plan_mirrors
from deploys.planning.obstacles import processes_at_work, refuse_host
from deploys.planning.proof import plan_proof
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
    ``files`` are those on the controller that the settings name. The images' plan is not settled yet: no registry
    has been asked (see ``deploys.planning.preflight``).
    """
    refusal = refuse_host(host)
    if refusal:
        return refused_plan(refusal)
    sshd = plan_sshd(settings, host)
    driver = plan_driver(settings, host, catalogue, update=update)
    docker = plan_docker(settings, host, catalogue)
    reboot = _plan_reboot(settings, host, driver, is_controller=is_controller)
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
        settings, host, catalogue, areas, files, driver=driver, docker=docker, toolkit=toolkit, daemon=daemon
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


def _changes(plan: AreaPlan) -> bool:
    match plan:
        case DriverPlan():
            return bool(plan.packages or plan.uninstall or plan.unfinished or plan.runfile) and not plan.may_be_there
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


def _plan_reboot(settings: Settings, host: Host, driver: DriverPlan, *, is_controller: bool) -> RebootPlan:
    """What becomes of a reboot that is due, or may turn out to be: after an update, or where loading anew fails."""
    # Prebuilt modules come with the newest kernel, which need not be the running one.
    may_turn_out = driver.may_be_there or bool(driver.packages and driver.hold)
    if not (driver.reboot_due or may_turn_out):
        return RebootPlan()
    allowed = settings.reboot in ("when-idle", "when-needed") and not is_controller
    can_reboot = allowed and _allow_reboot(settings, host, "").allowed
    if driver.reload and not can_reboot:
        return RebootPlan(notes=(Note("the modules are loaded anew, without a reboot", "nvidia_driver_reload is set"),))
    # An update may find nothing new, and the newest kernel may run.
    if not driver.reboot_due and not can_reboot:
        return RebootPlan()
    on_disk = "what this run installs" if driver.packages else host.driver.disk_version or "no driver"
    on_disk = "no driver, after this run" if driver.uninstall else on_disk
    seen = f"loaded is {host.driver.loaded_version or _other_driver(host)}, on disk is {on_disk}"
    if settings.reboot == "never":
        return RebootPlan(due=True, notes=(Note("a reboot is due and left to you", "reboot is never"),))
    if allowed:
        return _allow_reboot(settings, host, seen)
    remedy = "reboot the host yourself, then run this again"
    if not is_controller:
        remedy = 'set reboot = "when-idle" (or "when-needed": running containers stop with it), or ' + remedy
    return RebootPlan(due=True, refusal=Refusal(Area.REBOOT, "a reboot is due, and it was not allowed", seen, remedy))


def _allow_reboot(settings: Settings, host: Host, seen: str) -> RebootPlan:
    even_in_use = settings.reboot == "when-needed"
    running = [
        *(f"container {container.name}" for container in host.docker.running_containers),
        *processes_at_work(host),
    ]
    if running and not even_in_use:
        remedy = 'run this again when they have ended, or set reboot = "when-needed", which stops them'
        brief = "a reboot is due, and it would stop what runs here"
        return RebootPlan(due=True, refusal=Refusal(Area.REBOOT, brief, ", ".join(running), remedy))
    if host.display.sessions:
        remedy = "run this again when they have logged out"
        brief = "a reboot is due, and somebody works at this machine's screen"
        return RebootPlan(due=True, refusal=Refusal(Area.REBOOT, brief, ", ".join(host.display.sessions), remedy))
    note = Note("reboots after everything else, if it is needed then", seen)
    return RebootPlan(due=True, allowed=True, even_in_use=even_in_use, notes=(note,))


def _other_driver(host: Host) -> str:
    return "nouveau" if host.driver.nouveau_loaded else "nova_core" if host.driver.nova_core_loaded else "none"


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
    needed = (
        (Area.DRIVER, driver),
        (Area.DOCKER, docker),
        (Area.TOOLKIT, toolkit),
        (Area.DAEMON, daemon),
        (Area.REBOOT, reboot),
    )
    blocked = _blocked(*needed, areas=areas)
    if reboot.due and not reboot.allowed and not blocked:
        blocked = f"{Area.REBOOT}, which is due"
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
    return plan_containers(
        settings, host, catalogue, files, driver=driver, docker=docker, toolkit=toolkit, daemon=daemon
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
