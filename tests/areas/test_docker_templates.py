"""The start, in a real shell with a stand-in Docker."""

from tests.areas.shell import Place, three_parts


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
