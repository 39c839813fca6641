"""Docker's files for mirrors, written and removed in a real shell."""

from __future__ import annotations

import stat

from deploys.areas.mirrors import registry_files_input
from deploys.planning.mirrors import MARK
from deploys.planning.records import MirrorsPlan
from tests.areas.shell import Finished, Place, three_parts

CA = "/etc/docker/certs.d/cache.lab:5001/gpu-hosts-ca.crt"
HOSTS = "/etc/docker/certs.d/nvcr.io/hosts.toml"
OURS = f'{MARK}\nserver = "https://nvcr.io"\n'
THEIRS = '# the lab\'s own\nserver = "https://nvcr.io"\n'


def apply(place: Place, *files: tuple[str, str], remove: tuple[str, ...] = ()) -> Finished:
    """Run the script as the operation does, with the files' places on this host."""
    plan = MirrorsPlan(
        files=tuple((str(place.path(path)), text) for path, text in files),
        remove=tuple(str(place.path(path)) for path in remove),
    )
    return place.run("registry_files", arguments=(MARK,), payload=registry_files_input(plan))


def write(place: Place, path: str, text: str) -> None:
    """A file that is there before."""
    place.path(path).parent.mkdir(parents=True, exist_ok=True)
    place.path(path).write_text(text)


def folders(place: Place) -> set[str]:
    """What is below certs.d."""
    root = place.path("/etc/docker/certs.d")
    return {str(path.relative_to(root)) for path in root.rglob("*")} if root.exists() else set()


def test_files_are_written_for_everybody_to_read(place: Place) -> None:
    assert apply(place, (CA, "a certificate\n"), (HOSTS, OURS)) == Finished(0, "")
    assert place.path(CA).read_text() == "a certificate\n"
    assert place.path(HOSTS).read_text() == OURS
    assert stat.S_IMODE(place.path(HOSTS).stat().st_mode) == 0o644
    assert folders(place) == {"nvcr.io", "nvcr.io/hosts.toml", "cache.lab:5001", "cache.lab:5001/gpu-hosts-ca.crt"}


def test_a_file_of_ours_is_exchanged_and_what_is_beside_it_stays(place: Place) -> None:
    write(place, HOSTS, f"{MARK}\nold\n")
    write(place, "/etc/docker/certs.d/nvcr.io/client.cert", "theirs")
    assert apply(place, (HOSTS, OURS)) == Finished(0, "")
    assert place.path(HOSTS).read_text() == OURS
    assert folders(place) == {"nvcr.io", "nvcr.io/hosts.toml", "nvcr.io/client.cert"}


def test_an_empty_file_is_nobodys(place: Place) -> None:
    write(place, HOSTS, "")
    assert apply(place, (HOSTS, OURS)) == Finished(0, "")
    assert place.path(HOSTS).read_text() == OURS


def test_removed_files_take_their_empty_folder_along_and_no_other(place: Place) -> None:
    write(place, HOSTS, OURS)
    write(place, CA, "a certificate\n")
    write(place, "/etc/docker/certs.d/cache.lab:5001/theirs.crt", "another\n")
    assert apply(place, remove=(HOSTS, CA)) == Finished(0, "")
    assert folders(place) == {"cache.lab:5001", "cache.lab:5001/theirs.crt"}
    assert apply(place, remove=(HOSTS, CA)) == Finished(0, "")


def test_a_file_that_somebody_has_written_since_stops_everything(place: Place) -> None:
    write(place, HOSTS, THEIRS)
    for remove in ((), (HOSTS,)):
        files = ((CA, "a certificate\n"),) if remove else ((CA, "a certificate\n"), (HOSTS, OURS))
        done = apply(place, *files, remove=remove)
        assert done.status == 1
        assert three_parts(done.output)
        assert str(place.path(HOSTS)) in done.output
        assert place.path(HOSTS).read_text() == THEIRS
        assert not place.path(CA).exists()


def test_on_a_full_disk_the_old_file_stays_and_the_next_one_is_not_written(place: Place) -> None:
    write(place, CA, "an old certificate\n")
    place.fill_disk_at("gpu-hosts-ca.crt.new")
    done = apply(place, (CA, "a certificate\n"), (HOSTS, OURS))
    assert done.status == 1
    assert three_parts(done.output)
    assert "No space left" in done.output
    assert place.path(CA).read_text() == "an old certificate\n"
    assert folders(place) == {"cache.lab:5001", "cache.lab:5001/gpu-hosts-ca.crt"}
