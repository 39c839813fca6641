"""A change of the driver on an apt host that was cut off, or has to undo what an earlier one did."""

import pytest

from tests.areas.apt_host import (
    BLACKLIST,
    RUNNING,
    UNFINISHED,
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


def test_removal_takes_a_library_of_every_architecture(host: Place) -> None:
    set_file(host, "installed", "libcuda1:amd64 580.95.05-1 ii", "libcuda1:i386 580.95.05-1 ii")
    set_file(host, "choice", "Purg libcuda1:i386 [580.95.05-1]", "Purg libcuda1 [580.95.05-1]")
    set_file(host, "after")
    assert remove(host, {"packages": "libcuda1"}).status == 0
    [call] = changes(host)
    assert call.endswith(" libcuda1:amd64 libcuda1:i386")


@pytest.mark.parametrize("step", ["apt-get", "modinfo", "update-initramfs", "apt-mark", "systemctl"])
def test_an_installation_that_fails_half_way_is_marked_until_it_ends(host: Place, step: str) -> None:
    """What is there is kept otherwise: without holds, or with nouveau in the initramfs."""
    works = (host.bin / step).read_text()
    host.stand_in(step, 'case "$*" in *--simulate*|download*|showhold) ;; *) exit 1 ;; esac')
    assert install(host, {"services": "nvidia-persistenced", "hold": "nvidia-utils-580"}).status == 1
    assert host.path(UNFINISHED).exists()
    (host.bin / step).write_text(works)
    assert install(host).status == 0
    assert not host.path(UNFINISHED).exists()


def test_what_is_refused_before_anything_is_done_is_not_marked(host: Place) -> None:
    set_file(host, "choice", "Remv site-cuda [1]")
    assert install(host).status == 1
    assert not host.path(UNFINISHED).exists()


def test_nothing_is_changed_that_could_not_be_marked(host: Place) -> None:
    host.path("/var/lib/gpu-hosts/driver").write_text("a file where a folder should be")
    done = install(host)
    assert done.status == 1
    assert three_parts(done.output)
    assert is_untouched(host)


def test_a_removal_that_fails_half_way_is_marked_and_its_rest_can_be_done(host: Place) -> None:
    set_file(host, "installed", "libcuda1 580.95.05-1 ii")
    assert install(host, {"preferences": "Package: *\n"}).status == 0
    set_file(host, "held", "libcuda1", "linux-image-generic")
    set_file(host, "choice", "Purg libcuda1 [580.95.05-1]")
    set_file(host, "after")
    host.stand_in("update-initramfs", "exit 1")
    assert remove(host, {"packages": "libcuda1", "hold": "linux-image-generic"}).status == 1
    assert (held(host), host.path(BLACKLIST).exists()) == (set(), True)
    assert host.path(UNFINISHED).exists()
    host.stand_in("update-initramfs", "")
    assert remove(host).status == 0
    assert not host.path(BLACKLIST).exists()
    assert not host.path(UNFINISHED).exists()


def test_holds_for_prebuilt_modules_end_with_them(host: Place) -> None:
    set_file(host, "installed", "linux-image-generic 6.8.0-45 hi", "nvidia-utils-580 580.95.05-1 ii")
    set_file(host, "held", "linux-image-generic", "mine")
    assert install(host, {"unhold": "linux-image-generic"}).status == 0
    assert held(host) == {"mine", "nvidia-utils-580"}


def test_a_module_that_failed_to_build_once_is_built_again(host: Place) -> None:
    """apt has nothing to do where the packages are there, and builds nothing."""
    host.stand_in("modinfo", '[ ! -e "$here/built" ] || echo 580.95.05')
    host.stand_in("dkms", f'[ "$*" != "autoinstall -k {RUNNING}" ] || : >"$here/built"')
    assert install(host).status == 0
