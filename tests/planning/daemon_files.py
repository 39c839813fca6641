"""daemon.json with and without ours, and plans for it, for tests of what writes and reads it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from deploys.planning.catalogue import load_catalogue
from deploys.planning.daemon import RUNTIME, RUNTIME_PATH, plan_daemon
from deploys.planning.daemon_config import Entry, Merged, Wish, merge
from deploys.planning.daemon_keys import Keys
from deploys.planning.records import Action, DaemonPlan, DockerPlan, ToolkitPlan
from deploys.planning.settings import Settings
from facts.model import Docker, Host
from tests.planning.hosts import DOCKER, READY

OUR_RUNTIME = Wish(((("runtimes", RUNTIME), {"path": RUNTIME_PATH, "runtimeArgs": []}),))


@cache
def keys_of(version: str = "") -> Keys:
    """The shipped catalogue's keys of a Docker version; "": the newest."""
    return Keys.of(load_catalogue(), version)


def merged(text: str | None, wish: Wish, ledger: tuple[Entry, ...] = (), version: str = "") -> Merged:
    """The merge of a wish into a file's text."""
    return merge(text, wish, ledger, keys_of(version))


def merge_runtime(text: str | None) -> str:
    """The text with the nvidia runtime in it."""
    return merged(text, OUR_RUNTIME).text or ""


IN_FORCE = ("runtime=nvidia", "runtime=runc", "default-runtime=runc", "live-restore=false", "log-driver=json-file")
ASKED = replace(DOCKER, in_force=IN_FORCE)  # Docker of the ready server, which says what is in force


def plan(
    host: Host = READY,
    settings: Settings | None = None,
    *,
    docker: DockerPlan | None = None,
    toolkit: ToolkitPlan | None = None,
) -> DaemonPlan:
    """The plan for a host with these settings, after these plans."""
    return plan_daemon(
        settings or Settings(), host, load_catalogue(), docker=docker or DockerPlan(), toolkit=toolkit or ToolkitPlan()
    )


def on(docker: Docker) -> Host:
    """The ready server with this Docker."""
    return replace(READY, docker=docker)


def said(found: DaemonPlan) -> str:
    """All notes."""
    return "; ".join(f"{note.choice} ({note.because})" for note in found.notes)


def refusal(found: DaemonPlan) -> str:
    """What is refused, all of it."""
    assert found.refusal
    assert (found.text, found.action) == (None, Action.NONE)
    return str(found.refusal)
