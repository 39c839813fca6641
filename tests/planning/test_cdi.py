"""CDI specifications: for whom they are made, when anew, and which are put aside."""

from dataclasses import replace

import pytest

from deploys.planning.catalogue import load_catalogue
from deploys.planning.cdi import is_stale
from deploys.planning.plan import make_plan
from deploys.planning.records import ToolkitPlan
from deploys.planning.settings import Settings
from facts.model import CdiSpec, Host
from tests.planning.hosts import BARE, DOCKER, DOCKER_DESKTOP, JETSON, READY

CATALOGUE = load_catalogue()


def plan(host: Host, settings: Settings | None = None) -> ToolkitPlan:
    """The toolkit's part of the whole plan, of an owner who allows a reboot."""
    found = settings or Settings()
    return make_plan(found.model_copy(update={"reboot": "when-needed"}), host, CATALOGUE).toolkit


FRESH = CdiSpec("/var/run/cdi/nvidia.yaml", "580.95.05")
OLD = CdiSpec("/var/run/cdi/nvidia.yaml", "570.86.15")
BY_HAND_OLD = CdiSpec("/etc/cdi/nvidia.yaml", "570.86.15")
BY_HAND = CdiSpec("/etc/cdi/nvidia.yaml", "580.95.05")
UNREADABLE = CdiSpec("/etc/cdi/nvidia.yaml", None)


@pytest.mark.parametrize(
    ("specs", "makes", "aside"),
    [
        ((), True, ()),
        ((FRESH,), False, ()),
        ((BY_HAND,), False, ()),
        ((UNREADABLE,), False, ()),
        ((OLD,), True, ()),
        ((BY_HAND_OLD,), True, ("/etc/cdi/nvidia.yaml",)),
        # Two files with the same devices, one of which mounts libraries that are gone.
        ((FRESH, BY_HAND_OLD), False, ("/etc/cdi/nvidia.yaml",)),
    ],
)
def test_cdi_specifications(specs: tuple[CdiSpec, ...], makes: bool, aside: tuple[str, ...]) -> None:
    host = replace(READY, docker=replace(DOCKER, cdi=True), toolkit=replace(READY.toolkit, cdi_specs=specs))
    found = plan(host)
    assert (found.cdi, found.stale_specs) == (makes, aside)
    without = plan(replace(host, docker=replace(DOCKER, cdi=False)))
    assert (without.cdi, without.stale_specs) == (False, ())


def test_a_specification_of_the_installed_or_the_loaded_driver_is_right() -> None:
    """Until the reboot that is due, either may be the one that counts."""
    host = replace(READY, driver=replace(READY.driver, library_version="595.10.01"))
    for version, is_wrong in (("580.95.05", False), ("595.10.01", False), ("570.86.15", True)):
        assert is_stale(CdiSpec("/etc/cdi/nvidia.yaml", version), host) is is_wrong


STOPPED = replace(READY, docker=replace(DOCKER, running=False, server_version=None, containers=None, images=None))
SWITCHED_OFF = '{"features": {"cdi": false}}'
LEDGER = (
    '{"version": 1, "keys": [{"path": ["features"], "ours": {}}, {"path": ["features", "cdi"], "ours": false}], '
    '"items": []}'
)


@pytest.mark.parametrize(
    ("host", "data", "makes"),
    [
        # CDI is on by default from 28.2 on; the specification that toolkit 1.19 writes is read from 26.1 on.
        (BARE, {}, True),
        (BARE, {"docker_version": "28"}, True),
        (BARE, {"docker_version": "28.1"}, False),
        (BARE, {"docker_version": "27"}, False),
        (BARE, {"docker_version": "27", "docker_features": {"cdi": True}}, True),
        (BARE, {"docker_version": "25", "docker_features": {"cdi": True}}, False),
        (BARE, {"docker_features": {"cdi": False}}, False),
        # A distribution's may be any.
        (BARE, {"docker_source": "distribution"}, True),
        (BARE, {"docker_daemon_json": {"features": {"cdi": False}}}, False),
        (replace(READY, docker=replace(DOCKER, server_version="26.1.5+dfsg1")), {}, False),
        (
            replace(READY, docker=replace(DOCKER, server_version="26.1.5+dfsg1")),
            {"docker_features": {"cdi": True}},
            True,
        ),
        (replace(READY, docker=replace(DOCKER, server_version="25.0.5", cdi=True)), {}, False),
        (replace(READY, docker=replace(DOCKER, cdi=True)), {"docker_features": {"cdi": False}}, False),
        (replace(JETSON, docker=replace(DOCKER, cdi=True), toolkit=READY.toolkit), {}, False),
        (replace(DOCKER_DESKTOP, docker=replace(DOCKER_DESKTOP.docker, cdi=True)), {}, False),
        (STOPPED, {}, True),
        (replace(STOPPED, docker=replace(STOPPED.docker, client_version="27.5.1", packages=())), {}, False),
        (replace(STOPPED, docker=replace(STOPPED.docker, daemon_json='{"features": {"cdi": false}}')), {}, False),
        # The key that said no goes with its setting.
        (replace(STOPPED, docker=replace(STOPPED.docker, daemon_json=SWITCHED_OFF, ledger=LEDGER)), {}, True),
    ],
)
def test_cdi_is_for_a_docker_that_takes_it(host: Host, data: dict[str, object], makes: bool) -> None:
    assert plan(host, Settings.model_validate(data)).cdi is makes
