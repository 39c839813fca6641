"""The scripts that use apt, in a real shell with stand-in commands.

What the stand-ins print is what the real ones print: ``gpg --show-keys --with-colons`` by GnuPG's doc/DETAILS; apt
2.6.1 on Debian 12 for a repository that answers 404 and for one that is signed by another key.
"""

import shutil

import pytest

from deploys.areas.access import load_script
from tests.areas.shell import Finished, Place, three_parts

KEY = "9DC858229FC7DD38854AE2D88D81803C0EBFCD88"
SUBKEY = "D3306A018370199E527AE7997EA0A9C3F273FCD8"
URI = "https://download.docker.com/linux/debian"


def colons(*keys: str) -> str:
    """What gpg prints of a file with these primary keys, each with a user id and a subkey."""
    lines = [
        f"pub:-:4096:1:{key[-16:]}:1487791800:::-:::scESCA::::::23::0:\nfpr:::::::::{key}:\n"
        "uid:-::::1487792064::A2D2E2D3E4F5A6B7C8D9E0F1A2B3C4D5E6F7A8B9::A name <mail@example.org>::::::::::0:\n"
        f"sub:-:4096:1:{SUBKEY[-16:]}:1487788586::::::s::::::23:\nfpr:::::::::{SUBKEY}:"
        for key in keys
    ]
    return "\n".join(lines)


REFUSALS = {
    "signature": f"Get:1 {URI} trixie InRelease [682 B]\\n"
    f"Err:1 {URI} trixie InRelease\\n  The following signatures couldn't be verified because the public key is not "
    f"available: NO_PUBKEY 53CFCA252BF2DB19\\nReading package lists...\\n"
    f"E: The repository '{URI} trixie InRelease' is not signed.",
    "404": f"Ign:1 {URI} trixie InRelease\\nErr:2 {URI} trixie Release\\n  404  Not Found [IP: 127.0.0.1 443]\\n"
    f"Reading package lists...\\nE: The repository '{URI} trixie Release' does not have a Release file.",
}


@pytest.fixture
def apt(place: Place) -> Place:
    """A host whose apt, dpkg and network do as they are asked."""
    for name in ("apt-get", "dpkg"):
        place.stand_in(name, "")
    # Looking through every process of a busy machine takes long, and nobody holds this host's locks.
    place.stand_in("find", f'case $1 in /proc/*) ;; *) {shutil.which("find")} "$@" ;; esac')
    place.stand_in("curl", 'while [ "$1" != --output ]; do shift; done; echo key >"$2"')
    place.stand_in("gpg", f"cat <<'.'\n{colons(KEY)}\n.")
    return place


def add(place: Place, name: str = "docker", *, uri: str = URI) -> Finished:
    """Add one repository."""
    arguments = (
        name,
        uri,
        str(place.root / f"{name}.sources"),
        f"Types: deb\nURIs: {uri}\n",
        str(place.root / "keyrings" / f"{name}.asc"),
        f"{uri}/gpg",
        KEY,
    )
    return place.run("apt", "repository", "apt_sources", arguments=arguments, payload="")


def left(place: Place) -> set[str]:
    """The repository files on the host."""
    return {path.name for path in place.root.rglob("*") if path.suffix in (".sources", ".asc", ".new")}


def test_repository_signed_by_the_known_key_is_added(apt: Place) -> None:
    done = add(apt)
    assert (done.status, done.output) == (0, "")
    assert left(apt) == {"docker.sources", "docker.asc"}
    assert (apt.root / "docker.sources").read_text() == f"Types: deb\nURIs: {URI}\n"
    for path in (apt.root / "docker.sources", apt.root / "keyrings/docker.asc"):
        assert path.stat().st_mode & 0o777 == 0o644
    assert [call.split()[0] for call in apt.calls("apt-get")] == ["update"]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (colons(SUBKEY), SUBKEY),
        (colons(KEY, SUBKEY), f"{KEY} {SUBKEY}"),
        (colons(SUBKEY, KEY), f"{SUBKEY} {KEY}"),
        ("", "none"),
    ],
    ids=["another", "one more", "one before", "no key at all"],
)
def test_any_other_key_is_refused_and_both_fingerprints_are_shown(apt: Place, said: str, shown: str) -> None:
    apt.stand_in("gpg", f"cat <<'.'\n{said}\n.")
    done = add(apt)
    assert done.status == 1
    assert three_parts(done.output)
    assert shown in done.output
    assert f"known is {KEY}" in done.output
    assert left(apt) == set()


def test_key_that_cannot_be_fetched_says_what_curl_says(apt: Place) -> None:
    apt.stand_in("curl", "echo 'curl: (6) Could not resolve host: download.docker.com' >&2; exit 6")
    done = add(apt)
    assert done.status == 1
    assert three_parts(done.output)
    assert "Could not resolve host" in done.output
    assert left(apt) == set()


@pytest.mark.parametrize("why", REFUSALS)
def test_repository_that_apt_does_not_accept_is_taken_away_again(apt: Place, why: str) -> None:
    apt.stand_in("apt-get", f'[ "$1" != update ] || {{ printf "{REFUSALS[why]}\\n"; exit 100; }}')
    done = add(apt)
    assert done.status == 1
    assert three_parts(done.output)
    assert "taken away" in done.output
    assert left(apt) == set()


def test_somebody_elses_broken_source_does_not_take_ours_away(apt: Place) -> None:
    said = REFUSALS["404"].replace(URI, "https://old.example.org/debian")
    apt.stand_in("apt-get", f'printf "{said}\\n"; exit 100')
    done = add(apt)
    assert done.status == 0, "the packages will tell whether it is in their way"
    assert three_parts(done.output)
    assert "old.example.org" in done.output
    assert left(apt) == {"docker.sources", "docker.asc"}


def test_flat_repository_is_taken_away_although_apt_prints_it_without_its_last_slash(apt: Place) -> None:
    uri = "https://nvidia.github.io/libnvidia-container/stable/deb/amd64"
    said = REFUSALS["signature"].replace(f"{URI} trixie", f"{uri} ")
    apt.stand_in("apt-get", f'printf "{said}\\n"; exit 100')
    assert add(apt, "nvidia-container-toolkit", uri=f"{uri}/").status == 1
    assert left(apt) == set()


def add_debians_components(place: Place) -> Finished:
    """Add a source of the distribution's own, whose key apt has."""
    path = str(place.root / "debian.sources")
    arguments = ("debian", URI, path, f"Types: deb\nURIs: {URI}\n", "", "", "")
    return place.run("apt", "repository", "apt_sources", arguments=arguments, payload="")


def test_source_that_brings_no_key_needs_neither_network_nor_tools(apt: Place) -> None:
    for name in ("curl", "gpg"):
        (apt.bin / name).unlink()
    assert add_debians_components(apt) == Finished(0, "")
    assert left(apt) == {"debian.sources"}
    assert [call.split()[0] for call in apt.calls("apt-get")] == ["update"]


def test_tools_are_installed_for_the_first_repository_that_brings_a_key(apt: Place) -> None:
    """Whatever stands before it."""
    (apt.bin / "gpg").unlink()
    keyless = ("debian", URI, str(apt.root / "debian.sources"), "Types: deb\n", "", "", "")
    keyed = ("docker", URI, str(apt.root / "docker.sources"), "Types: deb\n", str(apt.root / "docker.asc"), URI, KEY)
    apt.run("apt", "repository", "apt_sources", arguments=(*keyless, *keyed))
    assert any(call.endswith(" gpg") for call in apt.calls("apt-get"))


@pytest.mark.parametrize("why", REFUSALS)
def test_source_without_a_key_is_taken_away_like_any_other(apt: Place, why: str) -> None:
    apt.stand_in("apt-get", f'[ "$1" != update ] || {{ printf "{REFUSALS[why]}\\n"; exit 100; }}')
    done = add_debians_components(apt)
    assert done.status == 1
    assert three_parts(done.output)
    assert "cannot remove" not in done.output
    assert left(apt) == set()


def test_without_a_repository_the_lists_are_refreshed_once(apt: Place) -> None:
    assert apt.run("apt", "repository", "apt_sources").status == 0
    assert [call.split()[0] for call in apt.calls("apt-get")] == ["update"]


def test_who_holds_the_lock_is_named(place: Place) -> None:
    lock = place.path("/var/lib/dpkg/lock-frontend")
    lock.parent.mkdir(parents=True)
    script = place.moved(load_script("apt"))
    assert place.run_text(f"{script}\nlock_holder").status == 1
    with lock.open("w"):
        done = place.run_text(f"{script}\nlock_holder")
    assert done.status == 0
    assert "(pid " in done.output
