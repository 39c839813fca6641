"""The parser alone: framing, tolerance of anything, and the readings that are easy to get wrong."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facts.model import Host, ModuleFlavour, PlatformKind
from facts.parse import SECTIONS, parse_probe
from facts.parse.answer import read_answer
from facts.parse.gpu import nvrm_flavour, nvrm_version, version_key
from facts.parse.tegra import l4t_release
from tests.facts.machines import all_machines, link_tools, probe_machine

HEADER = "@@ gpu-host-probe 1\n"
quick = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def answer_text(*lines: str) -> str:
    """A whole answer in which each ``section.key=value`` stands in its section."""
    parts = [HEADER]
    for name in SECTIONS:
        own = (line.removeprefix(f"{name}.") for line in lines if line.startswith(f"{name}."))
        parts += [f"@@ {name}\n", *(f"{line}\n" for line in own)]
    return "".join([*parts, "@@ end\n"])


def file_line(path: str, text: str) -> str:
    """A file as the probe sends it."""
    return f"host.file={base64.b64encode(text.encode()).decode()} {path}"


def host_of(*lines: str) -> Host:
    """The record of an answer with these lines."""
    return parse_probe(answer_text(*lines))


@pytest.fixture(scope="module")
def real_answer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The answer of the fullest machine."""
    machine = next(machine for machine in all_machines() if machine.name == "rocky9-a100x")
    return probe_machine(machine, link_tools(tmp_path_factory.mktemp("tools")))


# --- anything may come in


@quick
@given(st.text())
def test_any_text_gives_a_record(text: str) -> None:
    assert parse_probe(text).probe == 0


@quick
@given(st.text(alphabet=st.characters(codec="utf-8")), st.sampled_from(SECTIONS))
def test_any_section_gives_a_record(text: str, section: str) -> None:
    assert isinstance(parse_probe(f"{HEADER}@@ {section}\n{text}\n@@ end\n"), Host)


@quick
@given(data=st.data())
def test_any_value_of_a_known_key_gives_a_record(data: st.DataObject, real_answer: str) -> None:
    lines = real_answer.splitlines()
    for _ in range(5):
        at = data.draw(st.integers(1, len(lines) - 1))
        key = lines[at].partition("=")[0]
        lines[at] = f"{key}={data.draw(st.text(max_size=60))}"
    assert isinstance(parse_probe("\n".join(lines)), Host)


@quick
@given(st.text(max_size=200))
def test_any_file_gives_a_record(text: str) -> None:
    paths = ("/etc/os-release", "/etc/nv_tegra_release", "/var/lib/gpu-hosts/proof", "/etc/default/docker")
    encoded = base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()
    assert host_of(*(f"host.file={encoded} {path}" for path in paths)).probe == 1


@quick
@given(data=st.data())
def test_an_answer_that_was_cut_off_is_no_answer(data: st.DataObject, real_answer: str) -> None:
    whole = real_answer.rstrip("\n")
    assert parse_probe(whole).probe == 1
    assert parse_probe(whole[: data.draw(st.integers(0, len(whole) - 1))]).probe == 0


def test_sections_that_did_not_arrive_are_named(real_answer: str) -> None:
    cut = real_answer[: real_answer.index("@@ docker")] + "@@ doc"
    host = parse_probe(cut)
    assert host.os.id == "rocky"
    assert "docker: not in the probe's answer" in host.unread
    assert host.docker.running is None
    assert host.docker.containers is None


@pytest.mark.parametrize("text", ["", "sudo: a password is required\n", "@@ gpu-host-probe 2\n@@ end\n"])
def test_no_answer_and_other_versions_are_refused(text: str) -> None:
    host = parse_probe(text)
    assert host.probe == 0
    assert host.unread


def test_the_last_of_two_answers_counts() -> None:
    first = answer_text("host.release=5.0").removesuffix("@@ end\n")
    assert parse_probe(first + answer_text("host.release=6.0")).kernel.running == "6.0"


def test_lines_may_end_in_carriage_returns() -> None:
    assert parse_probe(answer_text("host.release=6.0").replace("\n", "\r\n")).kernel.running == "6.0"


@quick
@given(st.text())
def test_files_arrive_as_they_are(text: str) -> None:
    encoded = base64.b64encode(text.encode("utf-8", "replace")).decode()
    answer = read_answer(f"{HEADER}@@ docker\nfile={encoded} /etc/docker/a file\n@@ end\n")
    assert answer.files == {"/etc/docker/a file": text.encode("utf-8", "replace").decode()}


# --- readings


@pytest.mark.parametrize(
    ("line", "l4t"),
    [
        # First lines of real release files, as pasted in public issues.
        ("# R32 (release), REVISION: 7.4, GCID: 33514132, BOARD: t210ref, EABI: aarch64", "32.7.4"),
        ("# R34 (release), REVISION: 1.1, GCID: 30414990, BOARD: t186ref, EABI: aarch64", "34.1.1"),
        ("# R35 (release), REVISION: 3.1, GCID: 32827747, BOARD: t186ref, EABI: aarch64", "35.3.1"),
        ("# R39 (release), REVISION: 2.0, GCID: 45755727, BOARD: generic, EABI: aarch64", "39.2.0"),
        ("# R32(release),REVISION:5.1,GCID:26202423,BOARD:t186ref,EABI:aarch64", "32.5.1"),
        ("# REVISION: 7.4", None),
        ("", None),
    ],
)
def test_l4t_release(line: str, l4t: str | None) -> None:
    text = answer_text(file_line("/etc/nv_tegra_release", f"{line}\n# R99 (release), REVISION: 9.9"))
    assert l4t_release(read_answer(text)) == l4t


@pytest.mark.parametrize(
    ("lines", "module"),
    [
        (["board.tree_compatible=nvidia,p3768-0000+p3767-0003"], "p3767-0003"),
        (
            [
                "board.tree_compatible=nvidia,p3768-0000+p3767-0003",
                "board.tree_compatible=nvidia,p3768-0000+p3767-0005",
            ],
            "p3767",
        ),
        (["board.tree_compatible=nvidia,lanai-3636", "board.tree_boardids=3636:0001:A0"], "p3636-0001"),
        (["board.tree_compatible=nvidia,p2771-0000"], "p2771-0000"),
        (
            [
                "board.tree_compatible=nvidia,p3768-0000+p3767-0003",
                file_line("/etc/nv_boot_control.conf", "TNSPEC 3767-300-0005-T.1-1-1-jetson-orin-nano-devkit-\n"),
            ],
            "p3767-0005",
        ),
    ],
)
def test_jetson_module(lines: list[str], module: str) -> None:
    host = host_of("host.machine=aarch64", *lines, "board.tree_compatible=nvidia,tegra234")
    assert host.jetson is not None
    assert host.jetson.module == module


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        (["machine=x86_64", "release=6.6.87.2-microsoft-standard-WSL2"], PlatformKind.WSL2),
        (["machine=x86_64", "release=4.19.128-microsoft-standard"], PlatformKind.WSL2),
        (["machine=x86_64", "release=6.6.87.1-microsoft-standard-WSL2+"], PlatformKind.WSL2),
        (["machine=x86_64", "release=4.4.0-19041-Microsoft"], PlatformKind.WSL1),
        (["machine=aarch64", "release=6.8.0-tegra", "name=tegra-ubuntu"], PlatformKind.ARM64_SERVER),
        (["machine=ppc64le", "release=5.14.0"], PlatformKind.OTHER),
        ([], PlatformKind.OTHER),
    ],
)
def test_platform_by_kernel(lines: list[str], kind: PlatformKind) -> None:
    assert host_of(*(f"host.{line}" for line in lines)).platform.kind == kind


def test_custom_wsl_kernel_is_known_by_its_files() -> None:
    host = host_of("host.machine=x86_64", "host.release=6.12.0-xanmod", "marks.mark=/run/WSL")
    assert host.platform.kind == PlatformKind.WSL2
    assert host.platform.evidence == ("/run/WSL exists",)


@pytest.mark.parametrize(
    ("init", "kind"),
    [
        ("bash", PlatformKind.CONTAINER),
        ("docker-init", PlatformKind.CONTAINER),
        ("systemd", PlatformKind.WSL2),
        ("init(Ubuntu)", PlatformKind.WSL2),
    ],
)
def test_container_on_wsl_is_a_container_unless_it_boots(init: str, kind: PlatformKind) -> None:
    host = host_of(
        "host.machine=x86_64",
        "host.release=6.6.87.2-microsoft-standard-WSL2",
        f"host.init={init}",
        "marks.mark=/.dockerenv",
    )
    assert host.platform.kind == kind


def test_release_file_without_a_board_is_no_jetson() -> None:
    release = file_line("/etc/nv_tegra_release", "# R36 (release), REVISION: 4.3")
    host = host_of("host.machine=aarch64", release)
    assert host.platform.kind == PlatformKind.OTHER
    assert host.jetson is None


def test_dgx_spark_is_known_by_its_product_name() -> None:
    host = host_of("host.machine=aarch64", "marks.mark=/sys/firmware/acpi", "board.dmi_product_name=NVIDIA_DGX_Spark")
    assert host.platform.kind == PlatformKind.ARM64_SERVER
    assert host.platform.hands_off == "DGX Spark (GB10)"


@pytest.mark.parametrize(
    ("line", "version", "flavour"),
    [
        # The two wordings of the driver itself, and one with a line cut short.
        (
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  575.57.08  Release Build  (dvs)",
            "575.57.08",
            ModuleFlavour.OPEN,
        ),
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024",
            "550.54.15",
            ModuleFlavour.PROPRIETARY,
        ),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  580.142", "580.142", ModuleFlavour.OPEN),
        ("NVRM version:", None, None),
        (None, None, None),
    ],
)
def test_driver_banner(line: str | None, version: str | None, flavour: ModuleFlavour | None) -> None:
    assert nvrm_version(line) == version
    assert nvrm_flavour(line) == flavour


def test_kernels_in_the_order_boot_loaders_have_them() -> None:
    ordered = ["4.9.337-tegra", "5.10.0-9-amd64", "5.10.0-28-amd64", "6.8.0-9-generic", "6.8.0-101-generic", "6.12.1"]
    assert sorted(set(ordered), key=version_key) == ordered


@pytest.mark.parametrize(
    ("libraries", "version"),
    [
        (["library=/usr/lib/aarch64-linux-gnu/nvidia/libcuda.so.1.1"], None),
        (["library=/usr/lib64/libcuda.so.580.173.02"], "580.173.02"),
        (
            [
                "library=/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.535.288.01",
                "library=/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.580.173.02",
                "linked=libnvidia-ml.so.580.173.02",
            ],
            "580.173.02",
        ),
    ],
)
def test_library_version(libraries: list[str], version: str | None) -> None:
    assert host_of(*(f"driver.{line}" for line in libraries)).driver.library_version == version


def test_dnf_on_debian_serves_the_distribution_that_os_release_names() -> None:
    both = [
        "packages.manager=apt-get",
        "packages.manager=dnf",
        "packages.dpkg=ii |docker.io|1",
        "packages.rpm=docker-ce|3:2",
    ]
    rocky = file_line("/etc/os-release", 'ID="rocky"\nID_LIKE="rhel centos fedora"\n')
    debian = file_line("/etc/os-release", "ID=debian\n")
    assert host_of(*both, rocky).packages.manager == "dnf"
    assert host_of(*both, rocky).docker.origin == "docker-ce"
    assert host_of(*both, debian).packages.manager == "apt"
    assert host_of(*both, debian).docker.origin == "docker.io"


def test_what_carries_nvidias_name_and_is_no_driver() -> None:
    others = (
        "linux-nvidia-64k",
        "linux-headers-nvidia-64k",
        "nvidia-l4t-core",
        "libnvidia-container1",
        "nvidia-cuda-toolkit",
    )
    driver = ("cuda-drivers-580", "libcuda1", "linux-modules-nvidia-580-generic", "nvidia-driver-580", "nvlsm")
    host = host_of(*(f"packages.dpkg=hi |{name}|1" for name in (*others, *driver)))
    assert [name for name, _ in host.driver.packages] == list(driver)
    assert len(host.packages.installed) == 10


def test_a_daemon_that_did_not_answer_is_neither_up_nor_down() -> None:
    host = host_of("docker.running=yes", 'docker.info={"ServerErrors":["permission denied"]}')
    assert host.docker.running is None
    assert host.docker.images is None


def test_drop_ins_do_not_rule_when_the_main_file_speaks_first() -> None:
    host = host_of(
        "sshd.main=readable",
        "sshd.config=etc/ssh/sshd_config:1:X11Forwarding no",
        "sshd.config=etc/ssh/sshd_config:2:Include /etc/ssh/sshd_config.d/*.conf",
        "sshd.config=etc/ssh/sshd_config.d/50-a.conf:3:X11Forwarding yes",
    )
    assert host.sshd.includes_drop_ins is False
    assert host.sshd.sources == (
        ("x11forwarding", "/etc/ssh/sshd_config:1"),
        ("x11forwarding", "/etc/ssh/sshd_config.d/50-a.conf:3"),
    )


def test_half_a_proof_is_none() -> None:
    whole = "time=1\nresult=ok\nimage=i\ndriver=d\nboot=b\nmechanism=m\ndevices=1\n"
    assert host_of(file_line("/var/lib/gpu-hosts/proof", whole)).proof is not None
    assert host_of(file_line("/var/lib/gpu-hosts/proof", whole.replace("devices=1", "devices=many"))).proof is None


def test_every_key_that_the_parser_reads_is_one_that_the_probe_writes() -> None:
    folder = Path(__file__).parents[2] / "facts"
    script = (folder / "probe.sh").read_text()
    modules = "\n".join(path.read_text() for path in (folder / "parse").glob("*.py"))
    keys = set(re.findall(r'answer\.(?:first|all|number)\("\w+", "(\w+)"\)', modules))
    assert len(keys) > 40
    stems = {re.sub(r"^(tree|disk|dmi)_.*", r"\1_", key) for key in keys}
    assert [key for key in sorted(stems) if key not in script] == []
