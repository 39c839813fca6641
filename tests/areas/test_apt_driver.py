"""The scripts that install and remove the driver on an apt host, in a real shell with stand-in commands."""

import pytest

from tests.areas.apt_host import (
    APT_CACHE,
    BLACKLIST,
    OURS,
    RUNNING,
    add_kernel,
    apt_host,
    changes,
    held,
    install,
    is_untouched,
    remove,
    set_file,
)
from tests.areas.shell import Place, three_parts


@pytest.fixture
def host(place: Place) -> Place:
    """A host without a driver whose apt offers 580.95.05 and chooses as it is told."""
    return apt_host(place)


@pytest.mark.parametrize("candidate", ["580.95.05-1", "580.95.05-0ubuntu0.24.04.1", "1:580.95.05-1"])
def test_driver_of_the_planned_branch_is_installed(host: Place, candidate: str) -> None:
    set_file(host, "candidate", candidate)
    done = install(host)
    assert (done.status, done.output) == (0, f"driver 580.95.05 installed for kernel {RUNNING}\n")
    [call] = changes(host)
    assert call.startswith("install ")
    assert " nvidia-utils-580 the-module" in call


@pytest.mark.parametrize("candidate", ["575.57.08-1", "5800.1-1", "1:58.0-1", "(none)", ""])
def test_driver_of_another_branch_is_not_installed(host: Place, candidate: str) -> None:
    set_file(host, "candidate", candidate)
    done = install(host, {"first": "nvidia-driver-pinning-580", "preferences": "Package: *\n"})
    assert done.status == 1
    assert three_parts(done.output)
    assert candidate in done.output
    assert is_untouched(host)


def test_the_branch_is_pinned_before_apt_chooses(host: Place) -> None:
    """Nothing is installed for it: apt is shown the preferences as the package will bring them."""
    host.stand_in("apt-cache", f'cat "$here/run/preferences.d/nvidia-driver-pin" >>"$here/seen"\n{APT_CACHE}')
    assert install(host, {"first": "nvidia-driver-pinning-580"}).status == 0
    assert (host.root / "seen").read_text() == "nvidia-driver-pinning-580.deb\n"
    [call] = changes(host)
    assert " nvidia-driver-pinning-580 nvidia-utils-580 the-module" in call


def test_pinning_that_cannot_be_fetched_is_an_error_before_anything_is_done(host: Place) -> None:
    host.stand_in("apt-get", "echo 'E: Unable to locate package nvidia-driver-pinning-580'; exit 100")
    done = install(host, {"first": "nvidia-driver-pinning-580"})
    assert done.status == 1
    assert three_parts(done.output)
    assert "Unable to locate" in done.output
    assert is_untouched(host)


def test_preferences_of_another_origin_do_not_hide_the_pinning_package(host: Place) -> None:
    """Seen with apt 3.0.3: `Pin-Priority: -1` of our own file leaves nvidia-driver-pinning-580 without a candidate."""
    host.path(OURS).parent.mkdir(parents=True, exist_ok=True)
    host.path(OURS).write_text("Package: nvidia-driver*\nPin: release l=NVIDIA CUDA\nPin-Priority: -1\n")
    assert install(host, {"first": "nvidia-driver-pinning-580", "preferences": "Package: *\n"}).status == 0
    [call] = [call for call in host.calls("apt-get") if " download " in call]
    option = f"-o Dir::Etc::PreferencesParts={host.run_folder}/preferences.d/"
    assert call.startswith(f"{option} download ")


def test_a_switch_takes_away_what_it_may(host: Place) -> None:
    set_file(host, "installed", "nvidia-driver-pinning-570 570.1-1 ii", "the-old-module 570.1-1 hi")
    set_file(host, "held", "the-old-module")
    set_file(
        host, "choice", "Remv the-old-module [570.1-1]", "Remv nvidia-driver-pinning-570 [570.1-1]", "Inst x (1 y)"
    )
    set_file(host, "after", "nvidia-driver-pinning-580 580.95.05-1 ii")
    done = install(
        host,
        {"first": "nvidia-driver-pinning-580", "remove": "the-old-module gone", "allowed": "nvidia-driver-pinning-570"},
    )
    assert done.status == 0, done.output
    [call] = changes(host)
    assert call.endswith(" the-old-module-")
    assert "--allow-downgrades" in call
    assert "--allow-change-held-packages" in call
    assert "--purge nvidia-driver-pinning-570" in host.calls("dpkg"), "or its file would go on pinning"
    assert held(host) == {"nvidia-driver-pinning-580"}


def test_removal_of_anything_else_is_refused_and_nothing_is_done(host: Place) -> None:
    set_file(
        host, "choice", "Remv the-old-module [570.1-1]", "Remv site-cuda [1]", "Inst nvidia-utils-580 (580.95.05-1 a)"
    )
    done = install(
        host, {"first": "nvidia-driver-pinning-580", "preferences": "Package: *\n", "remove": "the-old-module"}
    )
    assert done.status == 1
    assert three_parts(done.output)
    assert "site-cuda" in done.output
    assert "would remove the-old-module" not in done.output
    assert is_untouched(host)


@pytest.mark.parametrize(
    ("lines", "modules", "kernel"),
    [
        (
            ("Inst linux-image-6.8.0-101-generic (1 a)", "Inst linux-modules-nvidia-580-open-6.8.0-100-generic (1 a)"),
            True,
            "101",
        ),
        (("Inst linux-modules-nvidia-580-open-6.8.0-44-generic (1 a)",), False, RUNNING),
    ],
)
def test_a_kernel_whose_prebuilt_modules_do_not_come_is_refused_and_nothing_is_done(
    host: Place, lines: tuple[str, ...], modules: bool, kernel: str
) -> None:
    if not modules:
        host.stand_in("modinfo", "exit 1")
    set_file(host, "choice", *lines)
    done = install(host, {"hold": "linux-modules-nvidia-580-open-generic"})
    assert done.status == 1
    assert three_parts(done.output)
    assert kernel in done.output
    assert is_untouched(host)


def test_kernels_come_with_their_prebuilt_modules(host: Place) -> None:
    names = ("linux-image-6.8.0-101-generic", "linux-modules-nvidia-580-open-6.8.0-101-generic")
    set_file(host, "choice", *(f"Inst {name} (1 a)" for name in names))
    assert install(host, {"hold": "linux-modules-nvidia-580-open-generic"}).status == 0


def test_what_others_put_on_hold_is_not_changed(host: Place) -> None:
    set_file(host, "installed", "linux-image-generic 6.8.0-45 hi", "nvidia-utils-580 580.1-1 hi", "libcuda 580.1-1 hi")
    set_file(host, "held", "linux-image-generic", "nvidia-utils-580", "libcuda")
    set_file(host, "choice", "Inst nvidia-utils-580 [580.1-1] (2 a)", "Inst libcuda [580.1-1] (2 a)")
    assert install(host).status == 0
    set_file(host, "choice", "Inst linux-image-generic [6.8.0-45] (6.8.0-50 a)")
    done = install(host)
    assert done.status == 1
    assert three_parts(done.output)
    assert "linux-image-generic" in done.output
    assert "libcuda" not in done.output
    assert len(changes(host)) == 1


def test_every_package_of_the_drivers_version_is_held(host: Place) -> None:
    set_file(
        host,
        "after",
        "nvidia-utils-580 580.95.05-0ubuntu1 ii",
        "libcuda1:amd64 1:580.95.05-1 ii",
        "removed 580.95.05-1 rc",
        "newer 580.95.050-1 ii",
        "linux-modules-nvidia-580-generic 6.8.0-45.45+1 ii",
        "bash 5.2-1 ii",
    )
    assert install(host, {"hold": "linux-modules-nvidia-580-generic not-there"}).status == 0
    assert held(host) == {"nvidia-utils-580", "libcuda1:amd64", "linux-modules-nvidia-580-generic"}


def test_what_is_left_of_the_old_driver_is_no_longer_on_hold(host: Place) -> None:
    """Ubuntu's firmware packages have the version in their names; what others put on hold stays so."""
    host.stand_in("modinfo", 'sed -n "s/^nvidia-utils-580 \\([0-9.]*\\)-.*/\\1/p" "$here/installed"')
    old = (
        "nvidia-utils-580 580.82.07-0 ii",
        "nvidia-firmware-580-580.82.07 580.82.07-0 ii",
        "nvidia-settings 510-1 ii",
    )
    set_file(host, "installed", *old)
    set_file(host, "held", *(line.split(" ")[0] for line in old))
    new = ("nvidia-utils-580 580.95.05-0 ii", "nvidia-firmware-580-580.95.05 580.95.05-0 ii")
    set_file(host, "after", *new, *old[1:])
    allowed = "nvidia-firmware-580-580.82.07 nvidia-settings"
    assert install(host, {"allowed": allowed}).status == 0
    assert held(host) == {"nvidia-utils-580", "nvidia-firmware-580-580.95.05", "nvidia-settings"}


def test_fabric_manager_is_of_the_drivers_own_version(host: Place) -> None:
    set_file(host, "offered", *(f" fm | {version} | repository" for version in ("595.1-1", "580.95.05-1", "580.1-1")))
    assert install(host, {"packages": "lead fm", "same_version": "fm"}).status == 0
    assert " lead fm=580.95.05-1 " in changes(host)[0] + " "
    set_file(host, "candidate", "580.200-1")
    done = install(host, {"packages": "lead fm", "same_version": "fm"})
    assert done.status == 1
    assert three_parts(done.output)
    assert "580.200" in done.output
    assert len(changes(host)) == 1


def test_our_preferences_are_written_and_taken_away_again(host: Place) -> None:
    text = "Package: *\nPin: release o=Ubuntu\nPin-Priority: 1000\n"
    assert install(host, {"preferences": text}).status == 0
    assert host.path(OURS).read_text() == text
    assert install(host).status == 0
    assert not host.path(OURS).exists()


def test_a_module_that_was_not_built_is_an_error_although_apt_says_ok(host: Place) -> None:
    host.stand_in("modinfo", "exit 1")
    log = host.path("/var/lib/dkms/nvidia/580.95.05/build/make.log")
    log.parent.mkdir(parents=True)
    log.write_text("cc1: error: incompatible gcc/plugin versions\n")
    done = install(host)
    assert done.status == 1
    assert three_parts(done.output)
    assert "cc1: error" in done.output


def test_nouveau_is_kept_away_once_the_module_is_there(host: Place) -> None:
    """And only once: the second time nothing is rebuilt."""
    assert [install(host).status for _ in range(2)] == [0, 0]
    lines = host.path(BLACKLIST).read_text().splitlines()
    assert {"blacklist nouveau", "blacklist nova_core", "blacklist nova_drm"} <= set(lines)
    assert host.calls("update-initramfs") == ["-u -k all"]


def test_nouveau_stays_where_nothing_would_replace_it(host: Place) -> None:
    host.stand_in("modinfo", "exit 1")
    assert install(host).status == 1
    assert not host.path(BLACKLIST).exists()
    assert host.calls("update-initramfs") == []


def test_an_initramfs_that_cannot_be_rebuilt_is_an_error_until_it_is(host: Place) -> None:
    host.stand_in("update-initramfs", "echo 'No space left on device'; exit 1")
    for _ in range(2):
        done = install(host)
        assert done.status == 1
        assert three_parts(done.output)
        assert "No space left" in done.output


@pytest.mark.parametrize("grubby", [False, True])
def test_dracut_hosts_rebuild_with_dracut_and_tell_the_boot_loader(host: Place, *, grubby: bool) -> None:
    (host.bin / "update-initramfs").unlink()
    host.stand_in("dracut", "")
    if grubby:
        host.stand_in("grubby", "")
    assert install(host).status == 0
    assert host.calls("dracut") == ["--force --regenerate-all"]
    words = "rd.driver.blacklist=nova_core,nouveau modprobe.blacklist=nova_core,nouveau"
    assert host.calls("grubby") == ([f"--update-kernel=ALL --args={words}"] if grubby else [])
    assert remove(host).status == 0
    assert len(host.calls("dracut")) == 2
    assert host.calls("grubby")[1:] == ([f"--update-kernel=ALL --remove-args={words}"] if grubby else [])


def test_a_module_of_another_branch_is_not_success(host: Place) -> None:
    host.stand_in("modinfo", "echo 535.183.01")
    done = install(host)
    assert done.status == 1
    assert three_parts(done.output)
    assert "535.183.01" in done.output
    assert held(host) == set()


def test_the_module_must_be_there_for_the_kernel_that_boots_next(host: Place) -> None:
    for release in ("6.8.0-9-generic", RUNNING, "6.8.0-101-generic"):
        add_kernel(host, release)
    assert install(host).output.endswith("for kernel 6.8.0-101-generic\n")
    assert {call.split(" nvidia ")[0] for call in host.calls("modinfo")} == {"-k 6.8.0-101-generic -F version"}


@pytest.mark.parametrize("name", ["nvidia-current", "nvidia-current-open"])
def test_the_module_may_have_the_name_that_debians_packages_give_it(host: Place, name: str) -> None:
    """modinfo of kmod 30 and 34: what it does not find is told on stderr, and the others' versions are printed."""
    known = f'[ "$module" != {name} ] || echo 580.95.05'
    host.stand_in("modinfo", f'for module; do {known}; done; echo "ERROR: Module nvidia not found." >&2; exit 1')
    assert install(host).status == 0


def test_a_kernel_without_modules_does_not_boot_next(host: Place) -> None:
    add_kernel(host, "6.8.0-101-generic", modules=False)
    assert install(host).output.endswith(f"for kernel {RUNNING}\n")


@pytest.mark.parametrize(("loaded", "started"), [(None, False), ("570.1", False), ("580.95.05", True)])
def test_services_are_enabled_and_started_where_their_module_is_loaded(
    host: Place, loaded: str | None, *, started: bool
) -> None:
    if loaded:
        host.path("/sys/module/nvidia").mkdir(parents=True)
        host.path("/sys/module/nvidia/version").write_text(f"{loaded}\n")
    assert install(host, {"services": "nvidia-persistenced"}).status == 0
    expected = ["enable nvidia-persistenced", *(["start nvidia-persistenced"] if started else [])]
    assert host.calls("systemctl") == expected


def test_a_service_that_does_not_start_is_an_error(host: Place) -> None:
    host.stand_in("systemctl", '[ "$1" != enable ] || { echo "Unit fm.service does not exist"; exit 1; }')
    done = install(host, {"services": "fm"})
    assert done.status == 1
    assert three_parts(done.output)
    assert "does not exist" in done.output


def test_driver_without_its_repository_is_not_tried(host: Place) -> None:
    done = install(host, {"source": str(host.root / "never-added.sources")})
    assert done.status == 1
    assert three_parts(done.output)
    assert host.calls("apt-get") == []


def test_half_configured_packages_stop_installation_and_removal(host: Place) -> None:
    host.stand_in("dpkg", "echo 'The following packages are only half configured: grub-pc'")
    for done in (install(host), remove(host, {"packages": "libcuda1"})):
        assert done.status == 1
        assert three_parts(done.output)
        assert "grub-pc" in done.output
    assert host.calls("apt-get") == []


def test_removal_takes_exactly_the_packages_and_what_we_wrote(host: Place) -> None:
    set_file(host, "installed", "nvidia-utils-580 580.95.05-1 ii", "libcuda1 580.95.05-1 ii")
    assert install(host, {"preferences": "Package: *\n"}).status == 0
    set_file(host, "held", "nvidia-utils-580", "libcuda1", "linux-headers-generic", "mine")
    set_file(host, "choice", "Purg nvidia-utils-580 [580.95.05-1]", "Purg libcuda1 [580.95.05-1]")
    set_file(host, "after")
    for _ in range(2):
        done = remove(host, {"packages": "nvidia-utils-580 libcuda1 gone", "hold": "linux-headers-generic"})
        assert done.status == 0, done.output
    [_, call] = changes(host)
    assert call.startswith("purge ")
    assert call.split("--allow-change-held-packages")[1].split()[:2] == ["nvidia-utils-580", "libcuda1"]
    assert not host.path(OURS).exists()
    assert not host.path(BLACKLIST).exists()
    assert len(host.calls("update-initramfs")) == 2, "with nouveau away, and with it back"
    assert held(host) == {"mine"}


@pytest.mark.parametrize("line", ["Remv site-cuda [1]", "Purg site-cuda [1]", "Inst nvidia-tesla-libcuda1 (1 a)"])
def test_removal_that_would_change_anything_else_is_refused(host: Place, line: str) -> None:
    set_file(host, "installed", "libcuda1 580.95.05-1 ii")
    set_file(host, "choice", "Purg libcuda1 [580.95.05-1]", line)
    done = remove(host, {"packages": "libcuda1"})
    assert done.status == 1
    assert three_parts(done.output)
    assert line.split()[1] in done.output
    assert is_untouched(host)
