"""Older source files of a vendor's repository, when it is added: copied, changed, put back where that is refused."""

import hashlib
from base64 import b64encode
from pathlib import Path

import pytest

from tests.areas.shell import KILLED, Finished, Place, three_parts

URI = "https://download.docker.com/linux/debian"
KEY = "9DC858229FC7DD38854AE2D88D81803C0EBFCD88"
OLD = f"deb [signed-by=/usr/share/keyrings/docker.gpg] {URI} trixie stable\n"
STAYS = "deb https://user:secret@site.example/debian trixie main\n"
REFUSED = {
    "apt": f"printf 'E: The repository {URI} trixie Release does not have a Release file.\\n'; exit 100",
    "dnf": "case $* in *--repo*) echo 'Error: Failed to download metadata'; exit 1 ;; esac",
}
COMMANDS = {"apt": "apt-get", "dnf": "dnf"}


@pytest.fixture(params=["apt", "dnf"])
def manager(request: pytest.FixtureRequest) -> str:
    """The package manager whose script is run."""
    return str(request.param)


@pytest.fixture
def host(place: Place, manager: str) -> Place:
    """A host with two older files, one of which has a source of the site's own too."""
    place.stand_in("find", "")
    place.stand_in(COMMANDS[manager], "")
    place.stand_in("curl", 'while [ "$1" != --output ]; do shift; done; echo key >"$2"')
    place.stand_in("gpg", f"printf 'pub:-:::::::::\\nfpr:::::::::{KEY}:\\n'")
    (place.root / "etc/apt/sources.list.d").mkdir()
    alone(place).write_text(OLD)
    shared(place).write_text(STAYS + OLD)
    shared(place).chmod(0o640)
    return place


def alone(place: Place) -> Path:
    """The older file that gives nothing else."""
    return place.root / "etc/apt/sources.list.d/docker.list"


def shared(place: Place) -> Path:
    """The one with a source of the site's own."""
    return place.root / "etc/apt/sources.list"


def backup(place: Place, path: Path, suffix: str = "") -> Path:
    """Where a copy of it lies."""
    return place.path("/var/lib/gpu-hosts/backup") / (str(path).lstrip("/").replace("/", "_") + suffix)


def new(place: Place) -> Path:
    """The file of the repository."""
    return place.root / "etc/apt/sources.list.d/gpu-hosts-docker.sources"


def add(place: Place, manager: str, *, text: str = STAYS) -> Finished:
    """Add Docker's repository, with the older files as they were when they were read."""
    key = str(place.root / "keyrings/docker.asc")
    arguments = ("docker", URI, str(new(place)), f"[docker]\nURIs: {URI}\n", key, f"{URI}/gpg", KEY)
    lines = [
        f"docker {hashlib.sha256(old.encode()).hexdigest()} {b64encode(left.encode()).decode() or '-'} {path}\n"
        for path, old, left in ((alone(place), OLD, ""), (shared(place), text + OLD, text))
    ]
    for file in place.run_folder.iterdir():
        file.unlink()
    script = (manager, "repository", f"{manager}_sources")
    return place.run(*script, arguments=arguments, payload="".join([*lines, "other 0 - /etc/never\n"]))


def is_as_before(place: Place) -> bool:
    """Whether the older files say what they said, to whom they said it, and no other is there."""
    files = {path.name for path in (place.root / "etc/apt").rglob("*") if path.is_file()}
    return (
        alone(place).read_text() == OLD
        and shared(place).read_text() == STAYS + OLD
        and shared(place).stat().st_mode & 0o777 == 0o640
        and files == {"docker.list", "sources.list"}
    )


def test_older_files_lose_the_repository_and_nothing_else(host: Place, manager: str) -> None:
    """Before the package manager reads anything: two keys for one repository and apt reads no source at all."""
    host.stand_in(COMMANDS[manager], f"cat {shared(host)} >>$here/read; [ ! -e {alone(host)} ]")
    assert add(host, manager) == Finished(0, "")
    assert (alone(host).exists(), shared(host).read_text()) == (False, STAYS)
    assert shared(host).stat().st_mode & 0o777 == 0o640
    assert OLD not in (host.root / "read").read_text()
    assert (backup(host, alone(host)).read_text(), backup(host, shared(host)).read_text()) == (OLD, STAYS + OLD)
    assert backup(host, shared(host)).parent.stat().st_mode & 0o777 == 0o700
    assert "secret" not in (host.root / "calls").read_text()


@pytest.mark.parametrize("manager", ["apt"], indirect=True)
def test_tools_are_fetched_though_the_older_files_contradict_each_other(host: Place, manager: str) -> None:
    (host.bin / "curl").rename(host.root / "curl")
    look = 'for word; do case $word in *sourcelist=*) cat "${word#*=}" ;; *sourceparts=*) ls "${word#*=}" ;; esac; done'
    come = "[ ! -e $here/curl ] || mv $here/curl $here/bin/"
    host.stand_in("apt-get", f"{look} >>$here/read; {come}")
    assert add(host, manager).status == 0
    assert (host.root / "read").read_text() == STAYS * 2
    assert "install" in "".join(call for call in host.calls("apt-get") if "curl" in call)


def test_a_file_that_has_changed_since_is_left_alone_and_so_is_all(host: Place, manager: str) -> None:
    done = add(host, manager, text="deb https://other.example/debian trixie main\n")
    assert done.status == 1
    assert three_parts(done.output)
    assert f"seen: {shared(host)}\n" in done.output
    assert is_as_before(host)
    assert not backup(host, alone(host)).exists()


def test_a_repository_that_is_refused_brings_them_back(host: Place, manager: str) -> None:
    host.stand_in(COMMANDS[manager], REFUSED[manager])
    done = add(host, manager)
    assert done.status == 1
    assert three_parts(done.output)
    assert is_as_before(host)


def test_a_key_that_is_another_changes_nothing(host: Place, manager: str) -> None:
    host.stand_in("gpg", "")
    assert add(host, manager).status == 1
    assert is_as_before(host)


def test_our_own_source_of_another_address_stays_where_the_new_one_is_refused(host: Place, manager: str) -> None:
    key = host.root / "keyrings/docker.asc"
    key.parent.mkdir()
    for path, text in ((new(host), "the vendor's address\n"), (key, "the vendor's key\n")):
        path.write_text(text)
        path.chmod(0o644)
    answer = (host.bin / COMMANDS[manager]).read_text()
    host.stand_in(COMMANDS[manager], REFUSED[manager])
    assert add(host, manager).status == 1
    assert (new(host).read_text(), key.read_text()) == ("the vendor's address\n", "the vendor's key\n")
    assert new(host).stat().st_mode & 0o777 == 0o644
    (host.bin / COMMANDS[manager]).write_text(answer)
    assert add(host, manager).status == 0
    assert (new(host).read_text(), key.read_text()) == (f"[docker]\nURIs: {URI}\n", "key\n")


def test_an_older_copy_of_another_content_stays(host: Place, manager: str) -> None:
    first = backup(host, alone(host))
    first.parent.mkdir()
    first.write_text("deb older\n")
    assert add(host, manager).status == 0
    assert (first.read_text(), backup(host, alone(host), ".1").read_text()) == ("deb older\n", OLD)
    alone(host).write_text(OLD)
    shared(host).write_text(STAYS + OLD)
    assert add(host, manager).status == 0
    assert not backup(host, alone(host), ".2").exists(), "the same content is kept once"


@pytest.mark.parametrize("end", ["_docker.list.new", "/sources.list.new"])
def test_a_full_disk_leaves_them_as_they_were(host: Place, manager: str, end: str) -> None:
    host.fill_disk_at(end)
    done = add(host, manager)
    assert done.status == 1
    assert three_parts(done.output)
    assert is_as_before(host)


@pytest.mark.parametrize("step", range(1, 25))
def test_killed_anywhere_no_text_is_lost(host: Place, manager: str, step: int) -> None:
    """Each file is there, or its copy; never a part of it."""
    host.kill_at(step)
    status = add(host, manager).status
    host.kill_no_more()
    assert status in (0, KILLED)
    assert alone(host).exists() or backup(host, alone(host)).read_text() == OLD
    text = shared(host).read_text()
    assert text == STAYS + OLD or (text, backup(host, shared(host)).read_text()) == (STAYS, STAYS + OLD)
