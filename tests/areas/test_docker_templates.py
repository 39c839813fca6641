"""The pulls and the start, in a real shell with a stand-in Docker."""

from tests.areas.shell import Finished, Place, three_parts


def test_pulled_by_digest_and_tagged_even_where_the_tag_was_another_image(place: Place) -> None:
    place.stand_in("docker", "")
    assert place.run("images_pull", arguments=("python@sha256:1", "python:3", "tools:1", "")) == Finished(0, "")
    calls = [call for call in place.calls("docker") if call.split()[0] in ("pull", "tag")]
    assert calls == ["pull --quiet python@sha256:1", "tag python@sha256:1 python:3", "pull --quiet tools:1"]


def test_one_image_that_cannot_be_pulled_does_not_hold_up_the_next(place: Place) -> None:
    place.stand_in("docker", 'case "$*" in *gone*) echo "manifest unknown" >&2; exit 1 ;; esac')
    done = place.run("images_pull", arguments=("gone:1", "", "tools:1", ""))
    assert done.status == 1
    assert three_parts(done.output)
    assert "manifest unknown" in done.output
    assert any(call == "pull --quiet tools:1" for call in place.calls("docker"))


def test_start_that_does_not_end_is_not_waited_for_without_end(place: Place) -> None:
    shorter = 'for word; do shift; [ "$word" != 120 ] || word=1; set -- "$@" "$word"; done'
    place.stand_in("timeout", f'{shorter}; exec {place.tools}/timeout "$@"')
    place.stand_in("systemctl", "sleep 100")
    place.stand_in("docker", "exit 1")
    place.stand_in("journalctl", "echo 'Starting docker.service'")
    done = place.run("docker_start")
    assert done.status == 1
    assert three_parts(done.output)
    assert "Starting docker.service" in done.output
