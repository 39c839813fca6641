"""Our block in sshd's main file: at its top, every other byte as it was, and out again."""

import pytest

from tests.areas.shell import Finished, Place, three_parts
from tests.areas.sshd_host import (
    BLOCK,
    EXPECTED,
    OTHERS,
    TEXT,
    confirm,
    content,
    end_patience,
    is_pending,
    main_file,
    write,
    write_block,
)


def test_an_interrupted_change_of_another_file_is_taken_back_in_that_file(sshd: Place) -> None:
    main_file(sshd).write_bytes(OTHERS)
    write(sshd)
    assert write_block(sshd, token="second") == Finished(0, "")
    assert content(sshd) is None
    assert main_file(sshd).read_bytes() == BLOCK + OTHERS


def test_block_goes_to_the_top_and_every_other_byte_stays(sshd: Place) -> None:
    main_file(sshd).write_bytes(OTHERS)
    main_file(sshd).chmod(0o600)
    assert write_block(sshd) == Finished(0, "")
    assert confirm(sshd) == Finished(0, "")
    end_patience(sshd)
    assert main_file(sshd).read_bytes() == BLOCK + OTHERS
    assert main_file(sshd).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("text", "block"), [(TEXT, BLOCK), ("", b"")], ids=["renewed", "taken away"])
@pytest.mark.parametrize("before", [b"", b"# somebody's own\n"])
def test_earlier_block_makes_way(sshd: Place, text: str, block: bytes, before: bytes) -> None:
    old = b"# BEGIN pyinfra-gpu-hosts\nX11Forwarding no\n# END pyinfra-gpu-hosts\n"
    main_file(sshd).write_bytes(before + old + OTHERS)
    assert write_block(sshd, text) == Finished(0, "")
    assert main_file(sshd).read_bytes() == block + before + OTHERS


def test_unconfirmed_block_is_taken_back(sshd: Place) -> None:
    main_file(sshd).write_bytes(OTHERS)
    write_block(sshd)
    end_patience(sshd)
    assert main_file(sshd).read_bytes() == OTHERS
    assert not is_pending(sshd)


@pytest.mark.parametrize("former", [b"", b"# BEGIN pyinfra-gpu-hosts\nX11Forwarding no\n# END pyinfra-gpu-hosts\n"])
def test_what_somebody_wrote_into_the_main_file_meanwhile_stays(sshd: Place, former: bytes) -> None:
    """After a power failure the mark stands for days; the copy from before must not take their lines away."""
    main_file(sshd).write_bytes(former + OTHERS)
    write_block(sshd)
    theirs = b"PermitRootLogin no\n" + OTHERS
    main_file(sshd).write_bytes(BLOCK + theirs)
    end_patience(sshd)
    assert main_file(sshd).read_bytes() == theirs
    assert not is_pending(sshd)


def test_marks_that_somebody_broke_keep_the_main_file_from_being_cut(sshd: Place) -> None:
    main_file(sshd).write_bytes(OTHERS)
    write_block(sshd)
    broken = BLOCK.replace(b"# END pyinfra-gpu-hosts\n", b"") + OTHERS
    main_file(sshd).write_bytes(broken)
    done = sshd.run("sshd_take_back", arguments=("first",))
    assert (done.status, main_file(sshd).read_bytes(), is_pending(sshd)) == (1, broken, True)
    main_file(sshd).write_bytes(OTHERS)
    end_patience(sshd)


@pytest.mark.parametrize("before", [None, OTHERS])
def test_main_file_that_nobody_has_read_is_not_written(sshd: Place, before: bytes | None) -> None:
    """Where it is not there, sshd may read another one, and that no more once this one is there."""
    if before is not None:
        main_file(sshd).write_bytes(before)
    done = sshd.run("sshd_x11", arguments=(str(main_file(sshd)), "", "60", "first", *EXPECTED), payload=TEXT)
    assert done.status == 1
    assert three_parts(done.output)
    assert (main_file(sshd).read_bytes() if main_file(sshd).exists() else None) == before
    assert not is_pending(sshd)


def test_main_file_behind_a_link_stays_behind_it(sshd: Place) -> None:
    (sshd.root / "real").write_bytes(OTHERS)
    main_file(sshd).symlink_to("real")
    write_block(sshd)
    assert main_file(sshd).is_symlink()
    assert (sshd.root / "real").read_bytes() == BLOCK + OTHERS


@pytest.mark.parametrize(
    ("now", "read"),
    [
        (OTHERS + b"\n", OTHERS),
        (b"# END pyinfra-gpu-hosts\n" + OTHERS, None),
        (BLOCK + BLOCK + OTHERS, None),
        (b"# BEGIN pyinfra-gpu-hosts\n" + OTHERS, None),
    ],
    ids=["changed since", "no begin", "twice", "no end"],
)
def test_main_file_that_is_not_as_expected_is_left_alone(sshd: Place, now: bytes, read: bytes | None) -> None:
    main_file(sshd).write_bytes(now)
    done = write_block(sshd, read=read)
    assert done.status == 1
    assert three_parts(done.output)
    assert main_file(sshd).read_bytes() == now
    assert not is_pending(sshd)
