"""What several folders of tests share."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.facts.machines import all_machines, link_tools, probe_machine


@pytest.fixture(scope="session")
def probe_tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of links to the plain tools that the probe uses."""
    return link_tools(tmp_path_factory.mktemp("probe-tools"))


@pytest.fixture(scope="session")
def answers(probe_tools: Path) -> dict[str, str]:
    """The probe's answer on every machine, by the machine's name. Asked once, side by side."""
    machines = all_machines()
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda machine: probe_machine(machine, probe_tools), machines)
        return {machine.name: answer for machine, answer in zip(machines, found, strict=True)}
