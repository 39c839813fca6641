"""Staging DKMS' key for Secure Boot, in a real shell with a mokutil that answers as 0.6 and 0.7 do."""

import shutil
import stat

import pytest

from tests.areas.shell import Finished, Place, three_parts

KEY, CERTIFICATE = "/var/lib/dkms/mok.key", "/var/lib/dkms/mok.pub"
PASSWORD = "one time 123"
MOKUTIL = """
case $1 in
  --test-key)
    if [ -e "$here/staged" ]; then echo "$2 is already in the enrollment request"; exit 1; fi
    if [ -e "$here/enrolled" ]; then echo "$2 is already enrolled"; exit 1; fi
    echo "$2 is not enrolled"
    ;;
  --import) cp "$4" "$here/staged" ;;
esac
"""


@pytest.fixture
def host(place: Place) -> Place:
    """An apt host with the tools."""
    place.stand_in("find", "")
    for name in ("dpkg", "apt-get"):
        place.stand_in(name, "")
    place.stand_in("mokutil", MOKUTIL)
    (place.bin / "openssl").symlink_to(shutil.which("openssl") or "/usr/bin/openssl")
    return place


def stage(place: Place) -> Finished:
    """Run the script."""
    arguments = tuple(str(place.path(path)) for path in (KEY, CERTIFICATE))
    return place.run("apt", "module_key", arguments=arguments, payload=PASSWORD)


def test_a_key_is_made_and_staged_under_a_hash_of_the_password(host: Place) -> None:
    done = stage(host)
    assert (done.status, done.output) == (0, "")
    assert stat.S_IMODE(host.path(KEY).stat().st_mode) == 0o600
    # The format that mokutil reads: crypt(5) with SHA-512.
    assert (host.root / "staged").read_text().startswith("$6$")
    assert not [call for call in (host.root / "calls").read_text().splitlines() if PASSWORD in call]


@pytest.mark.parametrize("state", ["staged", "enrolled"])
def test_a_key_that_is_staged_or_enrolled_is_left_as_it_is(host: Place, state: str) -> None:
    host.path(CERTIFICATE).parent.mkdir(parents=True, exist_ok=True)
    host.path(CERTIFICATE).write_bytes(b"theirs")
    (host.root / state).write_text("")
    assert stage(host).status == 0
    assert host.path(CERTIFICATE).read_bytes() == b"theirs"
    assert not [call for call in host.calls("mokutil") if call.startswith("--import")]


def test_a_firmware_that_takes_no_key_is_told_in_three_parts(host: Place) -> None:
    host.stand_in("mokutil", 'case $1 in --import) echo "EFI variables are not supported"; exit 255 ;; esac')
    done = stage(host)
    assert done.status == 1
    assert three_parts(done.output)
    assert "EFI variables are not supported" in done.output
