"""The scripts that use dnf, in a real shell with stand-in commands.

What the stand-ins print is what the real ones print: dnf 4.23 for a repository that answers 404 and for one that is
signed by another key; ``gpg --show-keys --with-colons`` as for apt.
"""

import hashlib
import shutil

import pytest

from deploys.areas.access import load_script
from tests.areas.shell import Finished, Place, three_parts

KEY = "610C7B14E068A878070DA4E99CD0A493D42D0685"
URI = "https://developer.download.nvidia.com/compute/cuda/repos/rhel9/x86_64"
SOURCE = f"[gpu-hosts-nvidia-driver]\nname=NVIDIA driver\nbaseurl={URI}\nenabled=1\ngpgcheck=1\nrepo_gpgcheck=1\n"

REFUSALS = {
    "signature": 'Importing GPG key 0xA8113F8D:\n Userid     : "x"\n'
    "Error: Failed to download metadata for repo 'gpu-hosts-nvidia-driver': repomd.xml GPG signature verification "
    "error: Bad GPG signature",
    "404": "Errors during downloading metadata for repository 'gpu-hosts-nvidia-driver':\n"
    f"  - Status code: 404 for {URI}/repodata/repomd.xml (IP: 10.0.0.1)\n"
    "Error: Failed to download metadata for repo 'gpu-hosts-nvidia-driver': Cannot download repomd.xml: "
    "Cannot download repodata/repomd.xml: All mirrors were tried",
}


@pytest.fixture
def dnf(place: Place) -> Place:
    """A host whose dnf and network do as they are asked."""
    # Looking through every process of a busy machine takes long, and nobody holds this host's locks.
    place.stand_in("find", f'case $1 in /proc/*) ;; *) {shutil.which("find")} "$@" ;; esac')
    place.stand_in("dnf", "")
    place.stand_in("curl", 'while [ "$1" != --output ]; do shift; done; printf "Version: 1\\nkey\\n" >"$2"')
    place.stand_in("gpg", f"printf 'pub:-:::::::::\\nfpr:::::::::{KEY}:\\n'")
    return place


def add(place: Place, *, fingerprint: str = KEY) -> Finished:
    """Add NVIDIA's repository."""
    arguments = (
        "nvidia-driver",
        URI,
        str(place.root / "gpu-hosts-nvidia-driver.repo"),
        SOURCE,
        str(place.root / "keys/gpu-hosts-nvidia-driver.asc"),
        f"{URI}/D42D0685.pub",
        fingerprint,
    )
    return place.run("dnf", "repository", "dnf_sources", arguments=arguments, payload="")


def left(place: Place) -> set[str]:
    """The repository files on the host."""
    return {path.name for path in place.root.rglob("*") if path.suffix in (".repo", ".asc", ".new")}


BOTH = {"gpu-hosts-nvidia-driver.repo", "gpu-hosts-nvidia-driver.asc"}


def test_repository_signed_by_the_known_key_is_added_and_read(dnf: Place) -> None:
    done = add(dnf)
    assert (done.status, done.output) == (0, "")
    assert left(dnf) == BOTH
    assert (dnf.root / "gpu-hosts-nvidia-driver.repo").read_text() == SOURCE
    own, everything = dnf.calls("dnf")
    assert "--repo gpu-hosts-nvidia-driver --refresh makecache" in own
    assert "--assumeyes" not in everything, "keys of others are not ours to accept"


@pytest.mark.parametrize("fingerprint", ["F" * 40, "0" * 64])
def test_any_other_key_is_refused(dnf: Place, fingerprint: str) -> None:
    done = add(dnf, fingerprint=fingerprint)
    assert done.status == 1
    assert three_parts(done.output)
    assert f"known is {fingerprint}" in done.output
    assert left(dnf) == set()


def test_a_key_without_a_published_fingerprint_is_known_by_its_sum(dnf: Place) -> None:
    """Of the file without its Version line, which says which GnuPG wrote it."""
    dnf.stand_in("gpg", "")
    assert add(dnf, fingerprint=hashlib.sha256(b"key\n").hexdigest()).status == 0
    assert left(dnf) == BOTH


@pytest.mark.parametrize("why", REFUSALS)
def test_repository_that_dnf_does_not_accept_is_taken_away_again(dnf: Place, why: str) -> None:
    dnf.stand_in("dnf", f"case $* in *--repo*) cat <<'.'\n{REFUSALS[why]}\n.\nexit 1 ;; esac")
    done = add(dnf)
    assert done.status == 1
    assert three_parts(done.output)
    assert "taken away" in done.output
    assert "Failed to download metadata" in done.output
    assert left(dnf) == set()


def test_somebody_elses_broken_repository_does_not_take_ours_away(dnf: Place) -> None:
    dnf.stand_in(
        "dnf", "case $* in *--repo*) ;; *) echo \"Error: Failed to download metadata for repo 'x'\"; exit 1 ;; esac"
    )
    done = add(dnf)
    assert done.status == 0, "the packages will tell whether it is in their way"
    assert three_parts(done.output)
    assert "repo 'x'" in done.output
    assert left(dnf) == BOTH


def test_who_holds_the_lock_is_named(place: Place) -> None:
    script = place.moved(load_script("dnf"))
    assert place.run_text(f"{script}\nlock_holder").status == 1
    lock = place.path("/var/cache/dnf/metadata_lock.pid")
    lock.parent.mkdir(parents=True)
    lock.write_text("999999999")
    assert place.run_text(f"{script}\nlock_holder").status == 1, "who wrote it is gone"
    done = place.run_text(f"{script}\nprintf %s $$ >{lock}; lock_holder")
    assert done.status == 0
    assert "(pid " in done.output
    lock.unlink()
    transaction = place.path("/var/lib/rpm/.rpm.lock")
    transaction.parent.mkdir()
    with transaction.open("w"):
        assert "(pid " in place.run_text(f"{script}\nlock_holder").output


def test_a_lock_of_the_same_path_in_a_container_is_not_this_hosts(place: Place) -> None:
    """/proc shows a container's files by their paths there: rpm of a container has a lock of that name, too."""
    lock = place.path("/var/lib/rpm/.rpm.lock")
    lock.parent.mkdir(parents=True)
    lock.touch()
    theirs = place.root / "theirs"
    theirs.touch()
    # What find would show: a process whose open file has the lock's path, and is another file.
    place.stand_in("find", f"echo {theirs}")
    assert place.run_text(f"{place.moved(load_script('dnf'))}\nlock_holder").status == 1
