"""What a user reads: the plan as lines, the findings as lines, the closing table."""

from dataclasses import replace

import pytest

from deploys.planning.catalogue import load_catalogue
from deploys.planning.check import check, format_age
from deploys.planning.host_plan import Plan
from deploys.planning.plan import make_plan
from deploys.planning.report import (
    TITLES,
    Row,
    describe_findings,
    describe_plan,
    make_row,
    render_table,
)
from deploys.planning.settings import Settings
from facts.model import Host
from tests.planning.hosts import BARE, DOCKER_DESKTOP, DRIVER_580, JETSON, PROOF_IMAGE, READY, WSL

CATALOGUE = load_catalogue()
PROOF = READY.proof


def plan(host: Host) -> Plan:
    """The plan with the catalogue that ships."""
    return make_plan(Settings(gpu_proof_image=PROOF_IMAGE), host, CATALOGUE)


def row(host: Host) -> Row:
    """The host's line of the table, made from its own plan."""
    return make_row(host.name, plan(host), host, verdict="good")


def test_the_plan_of_a_bare_host_reads_area_by_area_with_reasons() -> None:
    lines = describe_plan(plan(BARE), BARE)
    assert lines[0] == "x86_64, Debian GNU/Linux 13 (trixie) (uname -m says x86_64)"
    areas = [line.split(":")[0] for line in lines[1:]]
    assert list(dict.fromkeys(areas)) == [
        "sshd X11",
        "driver",
        "docker",
        "toolkit",
        "docker daemon",
        "images",
        "gpu proof",
        "cameras",
    ]
    assert all(("(" in line and line.endswith(")")) or line.startswith("docker daemon:   ") for line in lines[1:])


def test_the_change_of_daemon_json_is_shown_line_by_line() -> None:
    shown = [line.removeprefix("docker daemon:   ") for line in describe_plan(plan(BARE), BARE) if ":   " in line]
    assert shown[:3] == ["--- /etc/docker/daemon.json", "+++ /etc/docker/daemon.json, new", "@@ -0,0 +1,8 @@"]
    assert '+            "path": "nvidia-container-runtime",' in shown


@pytest.mark.parametrize(
    "words", ["installs driver 580", "installs Docker CE", f"pulls {PROOF_IMAGE}", "adds the nvidia"]
)
def test_the_plan_says_what_will_change(words: str) -> None:
    assert any(words in line for line in describe_plan(plan(BARE), BARE))


def test_the_plan_of_a_ready_host_says_what_was_found_right() -> None:
    text = "\n".join(describe_plan(plan(READY), READY))
    for words in ("driver 580.95.05 (open) is kept", "Docker 29.4.3 is kept", "toolkit 1.19.1-1 is kept", "is valid"):
        assert words in text
    assert "install" not in text.replace("installed", "").replace("it is install", "")


def test_a_refusal_reads_as_three_parts_and_names_what_waits() -> None:
    host = replace(BARE, gpus=())
    lines = describe_plan(plan(host), host)
    start = lines.index("driver: refused: there is no NVIDIA GPU in this machine")
    assert lines[start + 1].startswith("driver:   seen: ")
    assert lines[start + 2].startswith("driver:   to do: ")
    assert "toolkit: skipped: it needs driver, which is refused" in lines


def test_a_refused_host_reads_as_its_refusal_alone() -> None:
    host = replace(BARE, elevated=False, user="lab")
    refused, seen, remedy = describe_plan(plan(host), host)
    assert refused.startswith("host: refused: root rights are needed")
    assert seen.startswith("host:   seen: user lab")
    assert remedy.startswith("host:   to do: ")


def test_what_could_not_be_read_is_said() -> None:
    host = replace(BARE, unread=("/etc/docker/daemon.json: not readable",))
    assert "not read: /etc/docker/daemon.json: not readable" in describe_plan(plan(host), host)


def test_a_busy_package_manager_is_named_where_packages_are_due() -> None:
    busy = replace(BARE.packages, lock_holder="unattended-upgr (pid 812)")
    assert any(
        "pid 812" in line for line in describe_plan(plan(replace(BARE, packages=busy)), replace(BARE, packages=busy))
    )
    ready = replace(READY, packages=busy)
    assert not any("pid 812" in line for line in describe_plan(plan(ready), ready))


def test_findings_begin_with_their_verdict_and_end_with_what_to_do() -> None:
    lines = describe_findings(check(plan(BARE), BARE, CATALOGUE))
    assert "bad: docker: Docker is not installed; run deploys/docker.py" in lines
    assert all(line.split(":")[0] in ("good", "bad", "unknown") for line in lines)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (86_399, "23 h"),
        (86_400, "1 d"),
        (10**7, "115 d"),
    ],
)
def test_age(seconds: int, text: str) -> None:
    assert format_age(seconds) == text


def test_table_line_of_a_ready_host() -> None:
    found = row(READY)
    assert (found.host, found.platform, found.driver) == ("server", "x86_64", "580.95.05/580.95.05")
    assert (found.docker, found.toolkit, found.reboot) == ("29.4.3", "1.19.1-1", "no")
    assert found.proof == "ok (runtime, gpus), 5 min ago: NVIDIA H100 80GB HBM3"


@pytest.mark.parametrize(
    ("host", "column", "text"),
    [
        (BARE, "driver", "none/none"),
        (BARE, "docker", "none"),
        (BARE, "toolkit", "none"),
        (BARE, "proof", "none"),
        (JETSON, "driver", "L4T 36.4.4"),
        (JETSON, "reboot", "no"),
        (WSL, "driver", "Windows'"),
        (DOCKER_DESKTOP, "toolkit", "Docker Desktop's"),
        (replace(READY, docker=replace(READY.docker, server_version=None, running=False)), "docker", "not running"),
        (replace(READY, docker=replace(READY.docker, server_version=None, running=None)), "docker", "unknown"),
        (replace(READY, driver=replace(DRIVER_580, loaded_version="570.1")), "driver", "570.1/580.95.05"),
        (replace(READY, driver=replace(DRIVER_580, loaded_version="570.1")), "reboot", "yes"),
        (replace(READY, boot="next/1"), "proof", "before this boot"),
    ],
)
def test_table_cell(host: Host, column: str, text: str) -> None:
    assert getattr(row(host), column) == text


def test_table_line_of_a_silent_host_is_unknown_in_every_column() -> None:
    found = make_row("db7", plan(Host(probe=0)), Host(probe=0), verdict="refused")
    assert set(vars(found).values()) == {"db7", "unknown", "refused"}


def test_table_columns_stand_in_line() -> None:
    lines = render_table([row(READY), row(replace(JETSON, name="a-host-with-a-long-name")), Row("gone")])
    assert lines[0].split("  ")[0].strip() == TITLES.host
    assert len(lines) == 4
    for title in vars(TITLES).values():
        start = lines[0].index(title)
        assert all(line[start - 2 : start].strip() == "" and line[start : start + 1].strip() for line in lines)
    assert lines[-1].split() == ["gone", *["unknown"] * 7]


def test_table_of_no_host_is_its_titles() -> None:
    assert len(render_table([])) == 1
