"""What the scripts are told of a plan's packages."""

from deploys.areas.packages import encode_group
from deploys.planning.host_plan import PackageGroup
from deploys.planning.records import Area


def test_a_group_is_one_argument() -> None:
    group = PackageGroup(
        Area.DOCKER,
        packages=("docker-ce", "docker-ce-cli"),
        same_version=("docker-ce-cli",),
        floor="28.3",
        avoid=(("29.0.0", "29.3.1"), ("30.0.0", "")),
        remove=("docker.io",),
        restarts=True,
        source_path="/etc/apt/sources.list.d/gpu-hosts-docker.sources",
    )
    assert encode_group(group).split("|") == [
        "area=docker",
        "packages=docker-ce docker-ce-cli",
        "same_version=docker-ce-cli",
        "release=",
        "floor=28.3",
        "avoid=29.0.0,29.3.1 30.0.0,",
        "remove=docker.io",
        "hold=",
        "restarts=yes",
        "stops_containers=no",
        "source=/etc/apt/sources.list.d/gpu-hosts-docker.sources",
    ]
