"""The whole step of a host: archives loaded, images pulled, unwanted ones removed."""

import os
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from pyinfra.api.state import State

from deploys.areas import images, pulls
from deploys.areas.access import Access
from deploys.areas.images import provide_images
from deploys.planning.records import Archive, ImagesPlan, Pull
from tests.areas.images_host import PULLED, ImagesHost
from tests.areas.shell import Place, three_parts

ARCHIVE = Archive("/srv/images.tar", 5, ("lab/x:1",), ("sha256:1",), ("amd64",), 9)
A, B = (Pull(f"lab/{name}@sha256:{name}", f"lab/{name}@sha256:{name}", digest=f"sha256:{name}") for name in "ab")


@pytest.fixture
def board(place: Place, monkeypatch: pytest.MonkeyPatch) -> ImagesHost:
    """A host in a run of its own; what it loads is there then."""
    monkeypatch.setattr(pulls, "POLL", 0.01)
    images._waves.clear()
    host = ImagesHost(place)
    place.stand_in(
        "mktemp", f'case $* in *gpu-hosts-image*) f=$here/upload; : >$f; echo $f;; *) {place.tools}/mktemp "$@";; esac'
    )
    (place.root / "load").write_text('printf "lab/x:1\\nsha256:1\\n" >>$here/there; cat "$last" >/dev/null')
    (place.root / "rm").write_text('[ "$3" != used:1 ] || { echo "conflict: container 7 is using it" >&2; exit 1; }')
    return host


def provide(board: ImagesHost, plan: ImagesPlan) -> bool:
    """The step."""
    return provide_images(cast(State, None), board.as_pyinfras, plan, Access(root=True), {})


def upload(board: ImagesHost) -> Path:
    """Where archives are uploaded to."""
    return board.place.root / "upload"


def test_archive_is_uploaded_loaded_and_removed(board: ImagesHost) -> None:
    assert provide(board, ImagesPlan(load=(ARCHIVE,)))
    assert board.connector.uploads == [f"/srv/images.tar {upload(board)}"]
    assert board.there == ["lab/x:1", "sha256:1"]
    assert not upload(board).exists()


@pytest.mark.parametrize(
    ("load", "said"),
    [
        ("echo 'no space left on device' >&2; exit 1", "no space left on device"),
        ("echo lab/x:1 >>$here/there; echo sha256:2 >$here/id", "another one than that of the archive"),
        ("", "is not there, though"),
    ],
)
def test_archive_that_does_not_load_fails_the_host_and_is_removed(board: ImagesHost, load: str, said: str) -> None:
    (board.place.root / "load").write_text(load)
    assert not provide(board, ImagesPlan(load=(ARCHIVE,), pull=(A,)))
    [failure] = [line for line in board.said if said in line]
    assert three_parts(failure)
    assert not upload(board).exists()
    assert board.there[-1] == A.source  # what was to be pulled was pulled


def test_containerds_store_has_ids_of_its_own(board: ImagesHost) -> None:
    (board.place.root / "info").write_text("[[driver-type io.containerd.snapshotter.v1]]")
    (board.place.root / "id").write_text("sha256:9")
    assert provide(board, ImagesPlan(load=(ARCHIVE,)))


def test_upload_that_fails_is_said_and_removed(board: ImagesHost, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bool:
        raise OSError("No space left on device")

    monkeypatch.setattr(board.connector, "put_file", fail)
    assert not provide(board, ImagesPlan(load=(ARCHIVE,)))
    assert three_parts(board.said[-1])
    assert not upload(board).exists()


def test_upload_of_a_run_that_was_killed_goes_a_day_later(board: ImagesHost) -> None:
    old, new = (board.place.path(f"/var/tmp/gpu-hosts-image.{name}") for name in ("old", "new"))
    for path in (old, new):
        path.touch()
    os.utime(old, (0, 0))
    assert provide(board, ImagesPlan(load=(ARCHIVE,)))
    assert (old.exists(), new.exists()) == (False, True)


def test_archive_that_does_not_fit_is_not_uploaded(board: ImagesHost) -> None:
    assert not provide(board, ImagesPlan(load=(replace(ARCHIVE, size=10**18),)))
    assert three_parts(board.said[-1])
    assert "and the archive needs" in board.text
    assert board.connector.uploads == []


def test_connection_that_is_lost_in_the_last_step_fails_the_host_alone(board: ImagesHost) -> None:
    board.connector.lost = [False]
    assert not provide(board, ImagesPlan(prune=("old:1",)))
    assert three_parts(board.said[-1])


def test_unwanted_images_go_after_the_pulls_unless_a_container_uses_them(board: ImagesHost) -> None:
    (board.place.root / "there").write_text("old:1\nused:1\n")
    assert provide(board, ImagesPlan(pull=(A,), prune=("old:1", "used:1", "gone:1")))
    done = [call for call in board.place.calls("docker") if call.split()[0] == "pull" or call.startswith("image rm")]
    assert done == [f"pull {A.source}", "image rm old:1", "image rm used:1"]
    assert "removed old:1" in board.text
    assert "kept used:1: conflict: container 7 is using it" in board.text


def test_nothing_is_removed_where_what_takes_its_place_did_not_come(board: ImagesHost) -> None:
    (board.place.root / "there").write_text("old:1\n")
    board.pull_does("echo denied >&2; exit 1")
    assert not provide(board, ImagesPlan(pull=(A,), prune=("old:1",)))
    assert board.there == ["old:1"]


def test_image_that_cannot_be_removed_fails_the_host(board: ImagesHost) -> None:
    (board.place.root / "there").write_text("old:1\n")
    (board.place.root / "rm").write_text("echo 'Error: permission' >&2; exit 1")
    assert not provide(board, ImagesPlan(prune=("old:1",)))
    assert three_parts(board.said[-1])


def test_images_without_a_cache_are_begun_together(board: ImagesHost) -> None:
    """A run that is killed leaves all of them to the host."""
    assert provide(board, ImagesPlan(pull=(A, B)))
    assert sum("images-start start" in text for text in board.connector.commands) == 1


def test_image_that_failed_through_a_cache_does_not_hold_up_the_next(board: ImagesHost) -> None:
    board.pull_does(f"case $2 in lab/a@*) echo denied >&2; exit 1 ;; esac\n{PULLED}")
    cached = tuple(Pull(pull.reference, pull.source, digest=pull.digest, cached=True) for pull in (A, B))
    assert not provide(board, ImagesPlan(pull=cached))
    assert board.there == [B.source]
    # The next host of the run is not kept waiting.
    assert not provide(board, ImagesPlan(pull=cached))
