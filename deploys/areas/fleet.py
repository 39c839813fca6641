"""A run's whole fleet: every host is asked and planned before any has its steps, and the registries are asked once."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from pyinfra import logger
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.api.state import State
from pyinfra.connectors.local import LocalConnector
from pyinfra.context import ctx_config, ctx_host

from deploys.areas.connection import tune
from deploys.areas.session import Session, closed_session, open_session
from deploys.planning.host_plan import Plan
from deploys.planning.plan import make_plan, refuse_settings, refused_plan, settle_images
from deploys.planning.preflight import HostPulls, questions, settle
from deploys.planning.preflight_table import render_preflight
from deploys.planning.records import Area, ImagesPlan, Refusal
from deploys.registry.client import look_up


@dataclass(frozen=True)
class Job:
    """What a run is to do: which areas, whether an installed driver is brought up to date, whether it only looks."""

    areas: frozenset[Area]
    update: bool = False
    verifying: bool = False


@dataclass(frozen=True)
class Planned:
    """A host that was asked and planned."""

    plan: Plan
    session: Session


# pyinfra has gevent make greenlets of threads, and has its own contexts for each.
_one_at_a_time = threading.Lock()
_planned: dict[Job, dict[str, Planned]] = {}


def plan_in_fleet(state: State, host: Host, job: Job) -> Planned:
    """This host's part of the run. The first host that asks has all of them planned, whatever pyinfra's --parallel."""
    with _one_at_a_time:
        planned = _planned.setdefault(job, {})
        if host.name not in planned:
            planned.update(_plan_fleet(state, job))
        return planned.pop(host.name)


def _plan_fleet(state: State, job: Job) -> dict[str, Planned]:
    hosts = sorted(state.inventory.get_active_hosts(), key=list(state.inventory).index)  # pyinfra's are a set
    with ThreadPoolExecutor(state.config.PARALLEL) as workers:
        planned = dict(workers.map(lambda one: (one.name, _plan_host(state, one, job)), hosts))
    return planned if job.verifying else _settle(planned)


def _plan_host(state: State, host: Host, job: Job) -> Planned:
    with ctx_config.use(state.config.copy()), ctx_host.use(host):
        tune(host.connector)
        try:
            session, problems = open_session(host)
        except PyinfraError:  # no host is left
            raise
        except Exception as error:  # it would abort every host
            logger.debug("asking %s failed", host.name, exc_info=True)
            refusal = _own_mistake(Area.HOST, "this host could not be asked", error)
            return Planned(refused_plan(refusal), closed_session())
        plan = refused_plan(refuse_settings(problems)) if problems else _plan(host, session, job)
        return Planned(plan, session)


def _plan(host: Host, session: Session, job: Job) -> Plan:
    """make_plan, with any mistake of ours turned into this host's refusal: an exception would abort every host."""
    try:
        return make_plan(
            session.settings,
            session.facts,
            session.catalogue,
            areas=job.areas,
            is_controller=isinstance(host.connector, LocalConnector),
            update=job.update,
            files=session.files,
        )
    except Exception as error:
        logger.debug("planning %s failed", host.name, exc_info=True)
        return refused_plan(_own_mistake(Area.HOST, "this host could not be planned for", error))


def _settle(planned: dict[str, Planned]) -> dict[str, Planned]:
    """Ask the registries what the hosts lack, and take their answers into the plans. Logs one table for the fleet."""
    groups: dict[object, dict[str, Planned]] = {}
    for name, one in planned.items():
        images, settings = one.plan.images, one.session.settings
        if settings.images_preflight and not images.refusal and (images.pull or images.load):
            asks_as = (
                frozenset(one.session.secrets.registries.items()),
                frozenset(settings.images_mirrors.items()),
                one.session.files.mirror_ca,
            )
            groups.setdefault(asks_as, {})[name] = one
    settled = dict(planned)
    lines: list[str] = []
    for group in groups.values():
        images_plans, table = _settle_group(group)
        lines += table
        for name, images in images_plans.items():
            one = planned[name]
            settled[name] = replace(one, plan=settle_images(one.plan, one.session.facts, images))
    if lines:
        logger.info("--> Images to fetch:")
    for line in lines:
        logger.info(f"    {line}")
    return settled


def _settle_group(group: Mapping[str, Planned]) -> tuple[dict[str, ImagesPlan], list[str]]:
    """The same for hosts that ask with the same credentials through the same mirrors."""
    fleet = [
        HostPulls(name, one.session.facts, one.plan.images, one.plan.mirrors, one.plan.containers.projects)
        for name, one in group.items()
    ]
    first = next(iter(group.values())).session
    ca = first.settings.images_mirror_ca
    try:
        answers = look_up(
            questions(fleet),
            credentials=first.secrets.registries,
            mirrors=first.settings.images_mirrors,
            ca=str(Path(ca).expanduser()) if ca else None,
        )
        plans, rows = settle(fleet, answers)
        return plans, render_preflight(rows)
    except Exception as error:
        logger.debug("asking the registries failed", exc_info=True)
        refusal = _own_mistake(Area.IMAGES, "the images could not be looked up", error)
        return {one.name: ImagesPlan(refusal=refusal) for one in fleet}, []


def _own_mistake(area: Area, brief: str, error: Exception) -> Refusal:
    return Refusal(area, f"{brief}: a mistake of ours", repr(error), "please report it, with --debug")
