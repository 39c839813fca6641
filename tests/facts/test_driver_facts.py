"""What the probe says around a driver: who uses the GPU, who sits at it, holds, streams, services, keys. Made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from facts.model import Host
from facts.parse import parse_probe
from tests.facts.machines import link_tools, run_probe

ROCKY = 'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.6"\n'
SESSION = (
    "# This is private data.\nUID=1000\nUSER=alice\nACTIVE=1\nSTATE={state}\nREMOTE=0\nTYPE={type}\nCLASS={kind}\n"
)


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder of links to the plain tools and to find."""
    folder = tmp_path / "tools"
    folder.mkdir()
    link_tools(folder)
    return link_tools(folder, ("find",))


def command(tools: Path, name: str, body: str) -> None:
    """A command that only this machine has."""
    (tools / name).write_text(f"#!/bin/sh\n{body}\n")
    (tools / name).chmod(0o755)


def probe(tmp_path: Path, tools: Path, files: dict[str, str]) -> Host:
    """The record of a machine with these files."""
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return parse_probe(run_probe(tmp_path, [tools]))


def test_processes_that_have_the_gpu_open_are_named_without_the_drivers_daemons(tmp_path: Path, tools: Path) -> None:
    for pid, target in ((812, "/dev/nvidia0"), (900, "/dev/nvidiactl"), (950, "/dev/null")):
        folder = tmp_path / f"proc/{pid}/fd"
        folder.mkdir(parents=True)
        (folder / "3").symlink_to(target)
        (folder / "4").symlink_to(target)
    names = {"proc/812/comm": "python3\n", "proc/900/comm": "nvidia-persiste\n", "proc/950/comm": "sh\n"}
    host = probe(tmp_path, tools, {**names, "sys/module/nvidia/version": "580.95.05\n"})
    assert host.driver.users == ("python3 (pid 812)",)


@pytest.mark.parametrize(
    ("state", "session_type", "kind", "seen"),
    [
        ("active", "wayland", "user", ("alice (wayland)",)),
        ("online", "x11", "user", ("alice (x11)",)),
        ("closing", "x11", "user", ()),
        ("active", "wayland", "greeter", ()),
        ("active", "tty", "user", ()),
    ],
)
def test_only_a_users_graphical_session_counts(
    tmp_path: Path, tools: Path, state: str, session_type: str, kind: str, seen: tuple[str, ...]
) -> None:
    text = SESSION.format(state=state, type=session_type, kind=kind)
    assert probe(tmp_path, tools, {"run/systemd/sessions/2": text}).display.sessions == seen


def test_a_graphical_target_counts_as_chosen_where_it_was_set_on_the_machine(tmp_path: Path, tools: Path) -> None:
    for folder, chosen in (("usr/lib/systemd/system", False), ("etc/systemd/system", True)):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "default.target").symlink_to("/usr/lib/systemd/system/graphical.target")
        display = probe(tmp_path, tools, {}).display
        assert (display.default_target, display.target_chosen) == ("graphical.target", chosen)


def test_a_management_controllers_screen_is_nobodys(tmp_path: Path, tools: Path) -> None:
    files = {"sys/class/drm/card0-VGA-1/status": "connected\n", "sys/class/drm/card0/device/vendor": "0x1a03\n"}
    files |= {"sys/class/drm/card1-DP-2/status": "connected\n", "sys/class/drm/card1/device/vendor": "0x10de\n"}
    assert probe(tmp_path, tools, files).display.connected == ("card1-DP-2",)


def test_a_virtual_machines_display_and_the_firmwares_frame_buffer_are_no_screen(tmp_path: Path, tools: Path) -> None:
    names = ("card0-Virtual-1", "card1-Unknown-1", "card2-Writeback-1", "card3-HDMI-A-1")
    files = {f"sys/class/drm/{name}/status": "connected\n" for name in names}
    assert probe(tmp_path, tools, files).display.connected == ("card3-HDMI-A-1",)


GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"  # EFI_GLOBAL_VARIABLE, UEFI specification


@pytest.mark.parametrize(
    ("variables", "state"),
    [
        ({f"SecureBoot-{GLOBAL}": "\6\0\0\0\1", f"BootOrder-{GLOBAL}": "\7"}, True),
        ({f"SecureBoot-{GLOBAL}": "\6\0\0\0\0", f"BootOrder-{GLOBAL}": "\7"}, False),
        ({f"BootOrder-{GLOBAL}": "\7"}, False),
        ({}, None),
    ],
)
def test_firmware_without_the_variable_has_no_secure_boot(
    tmp_path: Path, tools: Path, variables: dict[str, str], state: bool | None
) -> None:
    files = {f"sys/firmware/efi/efivars/{name}": text for name, text in variables.items()}
    files["sys/firmware/efi/fw_platform_size"] = "64\n"
    assert probe(tmp_path, tools, files).secure_boot is state


def test_a_change_that_did_not_end_is_seen(tmp_path: Path, tools: Path) -> None:
    assert not probe(tmp_path, tools, {}).driver.unfinished
    assert probe(tmp_path, tools, {"var/lib/gpu-hosts/driver/unfinished": ""}).driver.unfinished


def test_locked_versions_streams_and_vendors_come_from_dnf_and_rpm(tmp_path: Path, tools: Path) -> None:
    command(
        tools, "rpm", "echo 'nvidia-driver-cuda|3:580.95.05-1.el9|NVIDIA|1760000000'\necho 'dkms|(none):3.2.2|EPEL|9'"
    )
    command(tools, "dnf", "exit 0")
    files = {
        "etc/os-release": ROCKY,
        "etc/dnf/plugins/versionlock.list": "# Added lock\n\nnvidia-driver-cuda-3:580.95.05-1.el9.*\n",
        "etc/dnf/modules.d/nvidia-driver.module": "[nvidia-driver]\nstream=580-open\nstate=enabled\n",
        "etc/yum.repos.d/rocky.repo": "[baseos]\n",
    }
    host = probe(tmp_path, tools, files)
    assert host.packages.held == ("nvidia-driver-cuda-3:580.95.05-1.el9.*",)
    assert host.packages.stream == "580-open"
    assert host.driver.vendors == (("nvidia-driver-cuda", "NVIDIA"),)
    assert host.driver.changed == 1760000000
    assert dict(host.packages.installed)["dkms"] == "3.2.2"
    assert [file.path for file in host.packages.sources] == ["/etc/yum.repos.d/rocky.repo"]


def test_a_module_stream_that_was_reset_is_none(tmp_path: Path, tools: Path) -> None:
    files = {"etc/dnf/modules.d/nvidia-driver.module": "[nvidia-driver]\nname=nvidia-driver\nstream=\nstate=unknown\n"}
    assert probe(tmp_path, tools, files).packages.stream is None


def test_the_drivers_last_change_is_that_of_its_packages(tmp_path: Path, tools: Path) -> None:
    command(tools, "dpkg-query", "echo 'ii |nvidia-utils-580|580.95.05-0ubuntu1'")
    command(tools, "dpkg", "echo amd64")
    host = probe(
        tmp_path, tools, {f"var/lib/dpkg/info/nvidia-{name}.list": "/.\n" for name in ("utils-580", "l4t-core")}
    )
    assert host.driver.changed == int((tmp_path / "var/lib/dpkg/info/nvidia-utils-580.list").stat().st_mtime)


@pytest.mark.parametrize(
    ("said", "enrolled"),
    [
        ("/var/lib/dkms/mok.pub is already enrolled", True),
        ("/var/lib/dkms/mok.pub is not enrolled", False),
        ("EFI variables are not supported on this system", None),
    ],
)
def test_a_module_key_is_enrolled_or_not_or_that_is_unknown(
    tmp_path: Path, tools: Path, said: str, enrolled: bool | None
) -> None:
    command(tools, "mokutil", f"echo '{said}'; exit 1")
    driver = probe(tmp_path, tools, {"var/lib/dkms/mok.pub": ""}).driver
    assert (driver.module_key, driver.module_key_enrolled) == ("/var/lib/dkms/mok.pub", enrolled)


def test_services_mig_and_nvlink5_are_seen(tmp_path: Path, tools: Path) -> None:
    command(tools, "systemctl", '[ "$1 $2" = "is-active nvidia-fabricmanager" ] && echo failed')
    (tmp_path / "proc/driver/nvidia/capabilities/gpu0/mig/gi1").mkdir(parents=True)
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    files = {
        "usr/lib/systemd/system/nvidia-fabricmanager.service": "",
        "sys/class/infiniband/mlx5_4/device/vpd": "V0 SW_MNG\n",
    }
    host = probe(tmp_path, tools, files)
    assert host.driver.services == (("nvidia-fabricmanager", "failed"),)
    assert host.driver.mig
    assert host.nvlink5


# NVIDIA's driver installation guide, uninstallation (Debian, Ubuntu); packages.debian.org, nvidia-graphics-drivers.
DRIVERS = """
cuda-drivers cuda-drivers-580 firmware-nvidia-gsp libcuda1 libcudadebugger1 libegl-nvidia0 libglx-nvidia0 libnvcuvid1
libnvidia-cfg1 libnvidia-compute-580-server libnvidia-gl libnvidia-ml1 libnvidia-nscq libnvoptix1 libnvsdm
linux-modules-nvidia-580-open-generic linux-objects-nvidia-580-6.8.0-45-generic
linux-signatures-nvidia-6.8.0-45-generic
nvidia-alternative nvidia-compute-utils-580 nvidia-cuda-mps nvidia-dkms-open nvidia-driver-pinning-580
nvidia-fabricmanager nvidia-headless-no-dkms-580-open nvidia-imex nvidia-kernel-common-580 nvidia-linux-grid-580
nvidia-modprobe nvidia-open nvidia-persistenced nvidia-smi nvlsm xserver-xorg-video-nvidia-580
"""
# The container toolkit, CUDA (Debian's is the source nvidia-cuda-toolkit), L4T, kernels of the kind "nvidia", firmware
# that nouveau reads (Debian's firmware-nonfree, Enterprise Linux 10's linux-firmware), GPUDirect storage.
OTHERS = """
cuda-toolkit-13-0 cuda-libraries-13-0 libnvidia-container1 libnvidia-container-tools libnvidia-ml-dev
linux-image-nvidia linux-headers-6.8.0-1021-nvidia linux-modules-6.8.0-1021-nvidia linux-nvidia-64k-hwe-24.04
linux-modules-nvidia-fs-generic nvidia-container-runtime nvidia-container-toolkit nvidia-container-toolkit-base
nvidia-cuda-dev nvidia-cuda-toolkit nvidia-docker2 nvidia-fs-dkms nvidia-gds-13-0 nvidia-gpu-firmware nvidia-jetpack
nvidia-l4t-core nvidia-l4t-cuda nvidia-openjdk-8-jre nvidia-profiler nvidia-visual-profiler firmware-nvidia-graphics
"""


def test_a_drivers_packages_are_told_from_others_that_carry_the_name(tmp_path: Path, tools: Path) -> None:
    names = [*DRIVERS.split(), *OTHERS.split()]
    (tmp_path / "said").write_text("".join(f"ii |{name}|580.95.05-1\n" for name in names))
    for command_name in ("apt-get", "dpkg"):
        command(tools, command_name, "exit 0")
    command(tools, "dpkg-query", f"cat {tmp_path}/said")
    host = probe(tmp_path, tools, {})
    assert [name for name, _ in host.driver.packages] == sorted(DRIVERS.split())


def test_a_cards_audio_and_usb_functions_and_other_makers_are_no_gpus(tmp_path: Path, tools: Path) -> None:
    # PCI Code and ID Assignment: display 03 (VGA, 3D, other), audio 0403, USB 0c03, serial 0c80, bridges 0680 and 0604.
    files: dict[str, str] = {}
    classes = ("0x030000", "0x030200", "0x038000", "0x040300", "0x0c0330", "0x0c8000", "0x068000", "0x060400")
    for function, number in enumerate(classes):
        folder = f"sys/bus/pci/devices/0000:01:00.{function}"
        files |= {f"{folder}/{name}": f"{text}\n" for name, text in (("vendor", "0x10de"), ("device", "0x1e04"))}
        files |= {f"{folder}/class": f"{number}\n"}
    other = "sys/bus/pci/devices/0000:02:00.0"
    files |= {f"{other}/vendor": "0x1002\n", f"{other}/device": "0x1e04\n", f"{other}/class": "0x030000\n"}
    host = probe(tmp_path, tools, files)
    assert [gpu.address for gpu in host.gpus or ()] == ["0000:01:00.0", "0000:01:00.1", "0000:01:00.2"]
    assert host.nvswitches == ("0000:01:00.6",)
