"""The fleet is planned at the first host's call: in the inventory's order, and none of its hosts fails another."""

from collections.abc import Sequence

import pytest
from pyinfra.api.config import Config
from pyinfra.api.host import Host as PyinfraHost
from pyinfra.api.inventory import Inventory
from pyinfra.api.state import State

from deploys.areas import fleet
from deploys.areas.access import Access
from deploys.areas.fleet import Job, plan_in_fleet
from deploys.areas.session import Session
from deploys.planning.catalogue import load_catalogue
from deploys.planning.image_plan import LocalFiles
from deploys.planning.lookups import Answers, Missing, Question, Trouble
from deploys.planning.records import Area
from deploys.planning.settings import Problem, Settings
from tests.planning.hosts import READY

NAMES = [f"board-{number}" for number in range(20)]
JOB = Job(frozenset({Area.IMAGES}), verifying=True)


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> State:
    """A run over twenty hosts, of which board-3 cannot be asked for a reason that nobody thought of."""

    def open_session(host: PyinfraHost) -> tuple[Session, tuple[Problem, ...]]:
        if host.name == "board-3":
            raise RuntimeError("Could not determine home directory.")
        return Session(Settings(), Access(root=True), READY, load_catalogue()), ()

    monkeypatch.setattr(fleet, "open_session", open_session)
    monkeypatch.setattr(fleet, "_planned", {})
    state = State(Inventory((NAMES, {})), Config())  # type: ignore[no-untyped-call]
    for host in state.inventory:
        state.activate_host(host)
    return state


def test_a_host_that_cannot_be_asked_is_refused_alone(state: State) -> None:
    refusals = {name: plan_in_fleet(state, state.inventory.get_host(name), JOB).plan.host for name in NAMES}
    assert [name for name, refusal in refusals.items() if refusal] == ["board-3"]
    assert "home directory" in str(refusals["board-3"])


def test_the_fleet_is_in_the_inventorys_order_whoever_asks_first(state: State) -> None:
    plan_in_fleet(state, state.inventory.get_host("board-7"), JOB)
    assert list(fleet._planned[JOB]) == [name for name in NAMES if name != "board-7"]


def test_an_image_that_is_not_to_be_had_is_its_containers_trouble(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_session(_: PyinfraHost) -> tuple[Session, tuple[Problem, ...]]:
        settings = Settings.model_validate({"containers": {"mine": {"kind": "compose", "file": "my.yaml"}}})
        files = LocalFiles(texts=(("my.yaml", "services:\n  a:\n    image: lab/typo:1\n"),))
        return Session(settings, Access(root=True), READY, load_catalogue(), files=files), ()

    def look_up(asked: Sequence[Question], *, credentials: object, mirrors: object, ca: object) -> Answers:
        missing = (Missing(one.reference, Trouble.NO_REPOSITORY, "404") for one in asked if "typo" in one.reference)
        return Answers({one.reference: one for one in missing}, {})

    monkeypatch.setattr(fleet, "open_session", open_session)
    monkeypatch.setattr(fleet, "look_up", look_up)
    job = Job(frozenset({Area.IMAGES, Area.CONTAINERS}))
    plan = plan_in_fleet(state, state.inventory.get_host("board-1"), job).plan
    assert [refusal.brief for refusal in plan.refusals] == ["mine: its image cannot be had"]
