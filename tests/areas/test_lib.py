"""What every script can use, in a real shell."""

import pytest

from deploys.areas.access import load_script
from tests.areas.shell import Place


@pytest.mark.parametrize(
    "kernels",
    [
        # Rocky Linux 8.10 as it is installed, and updated: rpm takes the second for the newer.
        ("4.18.0-553.el8_10.x86_64", "4.18.0-553.16.1.el8_10.x86_64"),
        ("5.14.0-70.13.1.el9_0.x86_64", "5.14.0-427.13.1.el9_4.x86_64"),
        ("6.8.0-45-generic", "6.8.0-101-generic"),
        ("6.12.9+deb13-amd64", "6.12.57+deb13-amd64"),
    ],
)
def test_the_next_kernel_is_the_newest_as_its_package_manager_has_it(place: Place, kernels: tuple[str, str]) -> None:
    for kernel in kernels:
        place.path("/boot").mkdir(exist_ok=True)
        place.path(f"/boot/vmlinuz-{kernel}").touch()
        place.path(f"/lib/modules/{kernel}").mkdir(parents=True)
    assert place.run_text(place.moved(f"{load_script()}\nnext_kernel")).output == f"{kernels[1]}\n"


def test_docker_is_asked_on_this_host_whatever_root_has_in_view(place: Place) -> None:
    place.stand_in("docker", 'echo "context $DOCKER_CONTEXT, host ${DOCKER_HOST-none}"')
    script = f"DOCKER_HOST=tcp://other:2375 DOCKER_CONTEXT=other\nexport DOCKER_HOST DOCKER_CONTEXT\n{load_script()}"
    assert place.run_text(f"{script}\ndocker ps").output == "context default, host none\n"
