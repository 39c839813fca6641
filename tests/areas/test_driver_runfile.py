"""Uninstalling a driver of NVIDIA's .run installer, in a real shell with a stand-in installer."""

from tests.areas.shell import Place, three_parts


def test_it_is_uninstalled_by_its_own_program_without_a_question(place: Place) -> None:
    place.stand_in("nvidia-uninstall", 'rm "$here/bin/nvidia-uninstall" "$here/bin/nvidia-installer"')
    place.stand_in("nvidia-installer", "")
    done = place.run("driver_runfile")
    assert (done.status, done.output) == (0, "")
    assert place.calls("nvidia-uninstall") == ["--uninstall --silent"]
    assert place.run("driver_runfile").status == 0


def test_an_installer_that_fails_is_told_in_three_parts(place: Place) -> None:
    place.stand_in("nvidia-installer", "echo 'ERROR: you appear to be running an X server'; exit 1")
    done = place.run("driver_runfile")
    assert done.status == 1
    assert three_parts(done.output)
    assert "X server" in done.output
