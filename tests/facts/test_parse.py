"""The readings that are easy to get wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from facts.model import Attempt, ModuleFlavour, PlatformKind
from facts.parse.answer import read_answer
from facts.parse.gpu import nvrm_flavour, nvrm_version, version_key
from facts.parse.tegra import l4t_release
from tests.facts.answers import answer_text, file_line, host_of


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


@pytest.mark.parametrize(
    ("marks", "kind"),
    [
        (["/proc/sys/fs/binfmt_misc/WSLInterop"], PlatformKind.X86_64),
        (["/init"], PlatformKind.X86_64),
        (["/init", "/proc/sys/fs/binfmt_misc/WSLInterop"], PlatformKind.WSL2),
        (["/run/WSL"], PlatformKind.WSL2),
    ],
)
def test_custom_wsl_kernel_needs_more_than_one_weak_sign(marks: list[str], kind: PlatformKind) -> None:
    host = host_of("host.machine=x86_64", "host.release=6.12.0-custom", *(f"marks.mark={path}" for path in marks))
    assert host.platform.kind == kind


@pytest.mark.parametrize(
    ("release", "model", "product"),
    [
        ("6.8.12-prod-rt-tegra", "NVIDIA Thor", "DRIVE OS"),
        ("6.8.12", "NVIDIA DRIVE AGX Thor", "DRIVE OS"),
        ("6.8.12-tegra", "NVIDIA IGX Thor Developer Kit", "IGX Thor"),
        ("6.8.12-tegra", "NVIDIA Jetson AGX Thor Developer Kit", None),
    ],
)
def test_tegra_products_that_are_no_jetson(release: str, model: str, product: str | None) -> None:
    host = host_of(
        "host.machine=aarch64",
        f"host.release={release}",
        f"board.tree_model={model}",
        "board.tree_compatible=nvidia,tegra264",
    )
    assert host.platform.hands_off == product
    assert (host.jetson is None) == (product is not None)


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


def test_drop_ins_that_nothing_includes_do_not_count() -> None:
    host = host_of(
        "sshd.main=readable",
        "sshd.config=etc/ssh/sshd_config:2:PrintMotd no",
        "sshd.config=etc/ssh/sshd_config.d/50-a.conf:3:Include /etc/ssh/more.conf",
        "sshd.config=etc/ssh/sshd_config.d/50-a.conf:4:X11Forwarding yes",
    )
    assert host.sshd.includes_drop_ins is False
    assert host.sshd.sources == (("printmotd", "/etc/ssh/sshd_config:2"),)


def test_an_sshd_that_does_not_answer_is_named() -> None:
    assert host_of("sshd.version=OpenSSH_9.2p1 Debian-2").unread == (
        "sshd -T: no answer (it needs root and host keys)",
    )
    assert host_of("sshd.version=OpenSSH_9.2p1", "sshd.effective=printmotd no").unread == ()


def test_an_unknown_distribution_uses_the_manager_it_has() -> None:
    assert host_of("packages.manager=apt-get", "packages.manager=dnf").packages.manager == "apt"
    assert host_of("packages.manager=zypper").packages.manager == "zypper"


def test_a_file_that_did_not_arrive_whole_is_not_there() -> None:
    assert host_of("docker.file=e30! /etc/docker/daemon.json").docker.daemon_json is None
    assert host_of("docker.file=e30= /etc/docker/daemon.json").docker.daemon_json == "{}"


def test_half_a_proof_is_none() -> None:
    whole = "time=1\nresult=ok\nimage=i\ndriver=d\nboot=b\nmechanism=m\ndevices=1\n"
    assert host_of(file_line("/var/lib/gpu-hosts/proof", whole)).proof is not None
    assert host_of(file_line("/var/lib/gpu-hosts/proof", whole.replace("devices=1", "devices=many"))).proof is None


def test_proof_tells_of_the_other_mechanisms_too() -> None:
    others = "also=--gpus all|docker run: a=b|\nalso=--device x=y|ok|CDI\nalso=half|\n"
    whole = f"result=ok\ndevices=1\ninjected=CDI\n{others}time=1\n"
    proof = host_of(file_line("/var/lib/gpu-hosts/proof", whole)).proof
    assert proof
    assert proof.injected == "CDI"
    assert proof.others == (Attempt("--gpus all", "docker run: a=b", ""), Attempt("--device x=y", "ok", "CDI"))
    before = host_of(file_line("/var/lib/gpu-hosts/proof", "time=1\nresult=ok\ndevices=1\n")).proof
    assert before
    assert (before.injected, before.others) == ("", ())


def test_every_key_that_the_parser_reads_is_one_that_the_probe_writes() -> None:
    folder = Path(__file__).parents[2] / "facts"
    script = (folder / "probe.sh").read_text()
    modules = "\n".join(path.read_text() for path in (folder / "parse").glob("*.py"))
    keys = set(re.findall(r'answer\.(?:first|all|number)\("\w+", "(\w+)"\)', modules))
    assert len(keys) > 40
    stems = {re.sub(r"^(tree|disk|dmi)_.*", r"\1_", key) for key in keys}
    assert [key for key in sorted(stems) if key not in script] == []
