"""A run, on one host: plan it, say what was decided, emit what differs, end with the verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyinfra import logger
from pyinfra.api.operation import OperationMeta
from pyinfra.api.state import State
from pyinfra.context import host, state

from deploys.areas.access import Access
from deploys.areas.cameras import add_camera_users, enter_planned, open_sheets, take_pictures
from deploys.areas.cdi import refresh_cdi
from deploys.areas.closing import open_table, record
from deploys.areas.containers import start_containers
from deploys.areas.docker import change_daemon_json, prove_gpu
from deploys.areas.fleet import Job, plan_in_fleet
from deploys.areas.images import pull_images
from deploys.areas.mirrors import set_registry_files
from deploys.areas.packages import (
    add_docker_users,
    add_repositories,
    change_packages,
    install_driver,
    reload_driver,
    remove_driver,
    remove_toolkit,
    stage_module_key,
    start_docker,
    uninstall_runfile,
)
from deploys.areas.reboot import reboot_if_due
from deploys.areas.registry_cache import authority_file, bring_authority, lacks_authority, set_up_cache
from deploys.areas.session import Session
from deploys.areas.sshd import set_x11_options
from deploys.areas.verdict import conclude_unchanged, verdict
from deploys.planning.check import Verdict
from deploys.planning.driver import is_ours
from deploys.planning.host_plan import Plan
from deploys.planning.plan import ALL_AREAS
from deploys.planning.proof import driver_identity
from deploys.planning.records import Area
from deploys.planning.report import describe_plan, make_row


def provision(areas: frozenset[Area] = ALL_AREAS, *, update: bool = False, pictures: bool = False) -> None:
    """Bring ``areas`` of the current host to what its settings wish.

    ``update``: bring an installed driver, which is held, to the newest version of its branch, too.
    ``pictures``: take one with each camera, and put it on a page.
    """
    plan, session = _prepare(Job(areas, update=update))
    packages = _emit_packages(plan, session)
    sshd = _emit_sshd(plan, session.access)  # its confirming login tries X11, which needs xauth
    docker = _emit_docker(plan, session)
    reload = _emit_reload(plan, session.access, after=packages)
    # Where a reboot is allowed, it makes up for modules that could not be loaded without one.
    loaded = _emit_reboot(plan, session.access, after=packages) or reload
    cdi = _emit_cdi(plan, session, after=packages + loaded)
    proof = _emit_proof(plan, session, after=packages + docker + loaded) if plan.proof.run else []
    cameras = _emit_cameras(plan, session, pictures=pictures)
    # An image that did not come holds up the containers that need it alone: their own step says so.
    containers = _emit_containers(plan, session, after=packages)
    _emit_verdict(plan, session, packages + sshd + docker + loaded + cdi + proof + cameras + containers)


def verify() -> None:
    """Change nothing: compare the current host with what its settings wish, and prove its GPU again."""
    plan, session = _prepare(Job(ALL_AREAS, verifying=True))
    proof = [] if plan.proof.skipped else _emit_proof(plan, session, after=[])
    _emit_verdict(plan, session, proof)


def _prepare(job: Job) -> tuple[Plan, Session]:
    _keep_going()
    open_table(state)
    planned = plan_in_fleet(state, host, job)
    plan, session = planned.plan, planned.session
    refused = plan.refusals
    # Who only asks does not want to hear what would be done.
    for line in describe_plan(plan, session.facts)[: 1 if job.verifying and not plan.host else None]:
        host.log(line, log_func=logger.warning if "refused: " in line else logger.info)
    record(make_row(host.name, plan, session.facts, verdict="refused" if refused else "planned"))
    return plan, session


def _keep_going() -> None:
    """One failed host must not stop the others: pyinfra without -y would ask after each, and die without a terminal."""
    if state.should_raise_failed_hosts:
        state.should_raise_failed_hosts = _never


def _never(_: State) -> bool:
    return False


# Steps fail softly (`_ignore_errors`): what does not depend on them goes on, and the verdict fails the host at the end.
# Their order and names are constant: pyinfra merges hosts' steps by the line they are emitted from.


def _emit_sshd(plan: Plan, access: Access) -> list[OperationMeta]:
    if not plan.sshd.change:
        return []
    return [set_x11_options(name="Set sshd's X11 options", plan=plan.sshd, access=access, _ignore_errors=True)]


def _emit_packages(plan: Plan, session: Session) -> list[OperationMeta]:
    access, manager = session.access, session.facts.packages.manager or "apt"
    steps: list[OperationMeta] = []
    if plan.driver.runfile:
        name = "Uninstall the driver of the .run installer"
        steps.append(uninstall_runfile(name=name, access=access, _ignore_errors=True))
    runfile = tuple(steps)
    if plan.driver.uninstall or plan.driver.unfinished:
        name = "Remove the NVIDIA driver"
        steps.append(remove_driver(name=name, plan=plan.driver, access=access, _ignore_errors=True))
    if plan.driver.packages or plan.driver.module_key or plan.package_groups or plan.repositories:
        name = "Add repositories and refresh package lists"
        steps.append(
            add_repositories(
                name=name,
                repositories=plan.repositories,
                manager=manager,
                access=access,
                _ignore_errors=True,
            )
        )
    if plan.driver.module_key:
        name = "Stage the key for Secure Boot"
        steps.append(stage_module_key(name=name, plan=plan.driver, session=session, _ignore_errors=True))
    if plan.driver.packages:
        name = "Install the NVIDIA driver"
        install = install_driver(
            name=name, plan=plan.driver, access=access, _ignore_errors=True, _if=_all_succeeded(runfile)
        )
        steps.append(install)
    if plan.package_groups:
        name = "Install Docker, toolkit and tools"
        steps.append(change_packages(name=name, plan=plan, manager=manager, access=access, _ignore_errors=True))
    return steps


def _emit_docker(plan: Plan, session: Session) -> list[OperationMeta]:
    access, manager = session.access, session.facts.packages.manager or "apt"
    steps = []
    if plan.docker.users:
        name = "Put users into the group docker"
        steps.append(add_docker_users(name=name, plan=plan.docker, access=access, _ignore_errors=True))
    if plan.docker.start:
        steps.append(start_docker(name="Start Docker", access=access, _ignore_errors=True))
    if plan.daemon.text is not None:
        name = "Change daemon.json"
        steps.append(change_daemon_json(name=name, plan=plan.daemon, access=access, _ignore_errors=True))
    if plan.toolkit.uninstall:
        # Docker would start no container with a runtime that it knows and that is gone.
        name, let_go = "Remove NVIDIA Container Toolkit", _all_succeeded(tuple(steps))
        removal = remove_toolkit(
            name=name, plan=plan.toolkit, manager=manager, access=access, _ignore_errors=True, _if=let_go
        )
        steps.append(removal)
    steps += _emit_cache(plan, session)
    if plan.mirrors.files or plan.mirrors.remove:
        name = "Set up the registry mirrors"
        steps.append(set_registry_files(name=name, plan=plan.mirrors, access=access, _ignore_errors=True))
    if plan.images.pull or plan.images.load or plan.images.prune:
        name, secrets = "Pull images", session.secrets.registries
        steps.append(pull_images(name=name, plan=plan.images, access=access, secrets=secrets, _ignore_errors=True))
    return steps


def _emit_cache(plan: Plan, session: Session) -> list[OperationMeta]:
    access, authority = session.access, authority_file(session.settings, host.name)
    if plan.cache.start or plan.cache.remove:
        name, secrets = "Set up the registry cache", session.secrets.cache
        return [
            set_up_cache(
                name=name, plan=plan.cache, secrets=secrets, access=access, authority=authority, _ignore_errors=True
            )
        ]
    if lacks_authority(plan.cache, session.facts, authority):
        name = "Bring the certificate of the cache's authority"
        return [bring_authority(name=name, access=access, authority=authority, _ignore_errors=True)]
    return []


def _emit_reload(plan: Plan, access: Access, *, after: list[OperationMeta]) -> list[OperationMeta]:
    if not plan.driver.reload:
        return []
    name = "Load the new NVIDIA modules"
    return [reload_driver(name=name, plan=plan.driver, access=access, _ignore_errors=True, _if=_all_succeeded(after))]


def _emit_reboot(plan: Plan, access: Access, *, after: list[OperationMeta]) -> list[OperationMeta]:
    if not (plan.reboot.due and plan.reboot.allowed):
        return []
    return [
        reboot_if_due(
            name="Reboot if the driver needs it",
            access=access,
            even_in_use=plan.reboot.even_in_use,
            _ignore_errors=True,
            _if=_all_succeeded(after),
        )
    ]


def _emit_cdi(plan: Plan, session: Session, *, after: list[OperationMeta]) -> list[OperationMeta]:
    if not (plan.toolkit.cdi or plan.toolkit.stale_specs):
        return []
    name = "Make the CDI specification"
    return [
        refresh_cdi(
            name=name,
            plan=plan.toolkit,
            driver=_driver(session),
            access=session.access,
            _ignore_errors=True,
            _if=_all_succeeded(after),
        )
    ]


def _emit_proof(plan: Plan, session: Session, *, after: list[OperationMeta]) -> list[OperationMeta]:
    name = "Prove the GPU in a container"
    return [
        prove_gpu(
            name=name,
            plan=plan.proof,
            driver=_driver(session),
            access=session.access,
            _ignore_errors=True,
            _if=_all_succeeded(after),
        )
    ]


def _emit_cameras(plan: Plan, session: Session, *, pictures: bool) -> list[OperationMeta]:
    steps = []
    if plan.cameras.memberships:
        name = "Let users reach the cameras"
        steps.append(add_camera_users(name=name, plan=plan.cameras, access=session.access, _ignore_errors=True))
    if pictures:
        open_sheets(state)
        if enter_planned(host, plan, session):
            name = "Take pictures of the cameras"
            steps.append(take_pictures(name=name, session=session, _ignore_errors=True))
    return steps


def _emit_containers(plan: Plan, session: Session, *, after: list[OperationMeta]) -> list[OperationMeta]:
    if not (plan.containers.start or plan.containers.remove):
        return []
    name = "Start the containers"
    return [
        start_containers(
            name=name, plan=plan.containers, access=session.access, _ignore_errors=True, _if=_all_succeeded(after)
        )
    ]


def _driver(session: Session) -> str:
    """What a proof names the driver by. "": a package installs it, and its version is known on the host alone."""
    return "" if is_ours(session.facts) else driver_identity(session.facts) or ""


def _all_succeeded(steps: Sequence[OperationMeta]) -> Callable[[], bool]:
    return lambda: all(step.did_succeed() for step in steps)


def _emit_verdict(plan: Plan, session: Session, steps: list[OperationMeta]) -> None:
    """The last step. A host that needed nothing and is right gets none: its run was one exec and no operation."""
    if not steps and conclude_unchanged(plan, session.facts) is not Verdict.BAD:
        return
    verdict(name="Ask again and judge", plan=plan, session=session, steps=tuple(steps))
