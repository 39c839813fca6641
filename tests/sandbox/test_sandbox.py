"""The parts of the sandbox that can be wrong without a container telling: names, versions, indexes, answers."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.sandbox.control import NOT_IN_IMAGES
from tests.sandbox.docker_packages import RELEASES, engine_version, with_docker_names
from tests.sandbox.inventory import FLEET, WISHES, fleet_of
from tests.sandbox.machine import Mirror
from tests.sandbox.network import parse_routes
from tests.sandbox.registry_images import IMAGES
from tests.sandbox.standins import driver_packages
from tests.sandbox.state import RunningHost, State
from tests.sandbox.toolkit_standins import REFRESH_SETTINGS, REFRESH_UNITS, toolkit_packages

FILES = Path(__file__).parent / "files"


@pytest.mark.parametrize(
    ("debian", "upstream"),
    [("26.1.5+dfsg1-9+b9", "26.1.5"), ("1.6.20~ds1-1+deb12u3", "1.6.20"), ("1:2.3-4", "2.3")],
)
def test_engine_version_is_debians_without_its_additions(debian: str, upstream: str) -> None:
    assert engine_version(debian) == upstream


def test_docker_versions_have_dockers_form() -> None:
    assert RELEASES[0].version("26.1.5", epoch="5:") == "5:26.1.5-1~debian.13~trixie"


def test_dependencies_get_dockers_names_once_and_keep_versions_of_others() -> None:
    assert with_docker_names("adduser, containerd (>= 1.4~), runc, libc6 (>= 2.34)") == "adduser, libc6 (>= 2.34)"
    assert with_docker_names("docker-cli, tini-static") == "docker-ce-cli, tini"


@pytest.mark.parametrize(
    ("version", "tools"), [("1.20.0-1", "= 1.20.0-1"), ("1.18.0-1", "= 1.18.0-1"), ("1.17.8-1", ">= 1.17.8-1")]
)
def test_toolkit_packages_need_each_other_in_exactly_their_version_from_1_18_on(version: str, tools: str) -> None:
    packages = {package.name: package for package in toolkit_packages(version)}
    assert len(packages) == 4
    needs = packages["nvidia-container-toolkit"].relations["Depends"]
    assert needs == f"nvidia-container-toolkit-base (= {version}), libnvidia-container-tools ({tools})"


@pytest.mark.parametrize(("version", "expected"), [("1.16.2-1", False), ("1.17.8-1", False), ("1.19.1-1", True)])
def test_toolkit_refreshes_cdi_specifications_by_itself_from_1_18_on(version: str, expected: bool) -> None:
    base = next(package for package in toolkit_packages(version) if package.name.endswith("-base"))
    units = {path.rsplit("/", 1)[1] for path in base.files if path.startswith("/usr/lib/systemd/system/")}
    assert units == (set(REFRESH_UNITS) if expected else set())
    assert base.conffiles == ((REFRESH_SETTINGS,) if expected else ())


@pytest.mark.parametrize(("release", "pin"), [("580", "580.*"), ("580.178.04", "580.178.04-*")])
def test_pinning_package_names_every_driver_package(release: str, pin: str) -> None:
    packages = {package.name: package for package in driver_packages("580.178.04-1", b"", b"")}
    preferences = packages[f"nvidia-driver-pinning-{release}"].files["/etc/apt/preferences.d/nvidia-driver-pin"]
    lines = preferences.decode().splitlines()
    pinned = set(lines[0].removeprefix("Package: ").split())
    assert pinned == {name for name in packages if "pinning" not in name}
    assert lines[1] == f"Pin: version {pin}"


def test_source_lines_keep_the_suffix_of_each_archive() -> None:
    mirror = Mirror((("http://mirror.example/debian", ""), ("http://mirror.example/security", "-security")), ())
    assert mirror.source_lines("trixie") == [
        "deb http://mirror.example/debian trixie main",
        "deb http://mirror.example/security trixie-security main",
    ]
    assert mirror.source_lines("unstable", updates=False) == ["deb http://mirror.example/debian unstable main"]


def test_routes_are_read_without_the_default_route() -> None:
    text = (
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    )
    assert [str(route) for route in parse_routes(text)] == ["192.168.1.0/24"]


def test_every_wish_of_the_fleet_is_an_image_of_the_registry() -> None:
    references = {image.reference for image in IMAGES}
    wished = {image for wish in WISHES.values() for image in wish["images"]}
    assert {image for image in wished if ":" in image} <= references


def test_hosts_of_tests_are_not_in_the_fleet() -> None:
    digests = {image.reference: "sha256:0" for image in IMAGES}
    fingerprints = dict.fromkeys(("docker", "toolkit", "driver"), "F" * 40)
    hosts = {name: RunningHost(name, "server", "192.0.2.1", "root") for name in ("server", "extra")}
    state = State("192.0.2.0/24", "192.0.2.2", fingerprints, digests, hosts)
    assert [name for name, _data in fleet_of(state)] == ["server"]
    assert "server" in FLEET


def test_modules_outside_the_images_exist() -> None:
    assert all((Path(__file__).parent / name).exists() for name in NOT_IN_IMAGES)


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        ((), "Linux"),
        (("-r",), "5.15.148-tegra"),
        (("-m",), "aarch64"),
        (("-sr",), "Linux 5.15.148-tegra"),
        (("-m", "-r"), "5.15.148-tegra aarch64"),
        (("--machine",), "aarch64"),
    ],
)
def test_uname_answers_as_the_machine_that_is_played(tmp_path: Path, arguments: tuple[str, ...], answer: str) -> None:
    machine = FILES / "jetson/machine"
    script = (FILES / "host/uname").read_text().replace("/usr/lib/gpu-sandbox/machine", str(machine))
    program = tmp_path / "uname"
    program.write_text(script)
    done = subprocess.run(["sh", str(program), *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == answer


def test_modinfo_reads_stand_in_modules_and_fails_for_others(tmp_path: Path) -> None:
    module = tmp_path / "6.12/updates/dkms/nvidia.ko"
    module.parent.mkdir(parents=True)
    module.write_text("version:        580.178.04\nlicense:        Dual MIT/GPL\n")
    script = (FILES / "server/modinfo").read_text().replace("/lib/modules", str(tmp_path))
    program = tmp_path / "modinfo"
    program.write_text(script)

    def ask(*arguments: str) -> tuple[int, str]:
        command = ["sh", str(program), "-k", "6.12", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
        return done.returncode, done.stdout.strip()

    assert ask("-F", "version", "nvidia") == (0, "580.178.04")
    assert ask("-F", "version", "nouveau") == (1, "")
