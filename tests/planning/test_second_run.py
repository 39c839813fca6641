"""A second run is empty: made-up hosts go from one random wish to the next, and each plan's result needs nothing."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from typing import Any

from deploys.planning.catalogue import Catalogue, load_catalogue
from deploys.planning.check import check
from deploys.planning.daemon_keys import Keys
from deploys.planning.host_plan import Plan
from deploys.planning.image_plan import LocalFiles
from deploys.planning.images import go_architecture, parse_reference
from deploys.planning.lookups import Answers, Found, Layer, Manifest, Missing
from deploys.planning.plan import make_plan, settle_images
from deploys.planning.preflight import HostPulls, questions, settle
from deploys.planning.records import Action, Archive, DaemonPlan, ImagesPlan
from deploys.planning.report import describe_findings, describe_plan
from deploys.planning.settings import Settings
from deploys.planning.versions import is_older
from facts.model import Attempt, CdiSpec, Container, Docker, Host, Image, Proof, SourceFile, Toolkit
from tests.planning.hosts import (
    DIGEST,
    DOCKER,
    DRIVER_580,
    JETSON,
    NO_DOCKER,
    NO_DRIVER,
    READY,
    RELEASES,
    TOOLKIT_PACKAGES,
    WSL,
    needs_something,
    on,
    with_driver,
    with_jetson,
)

CATALOGUE: Catalogue = load_catalogue()
WALKS, STEPS = 60, 4
VERSIONS = ("19.03.15", "20.10.24", "25.0.5", "26.1.5", "27.5.1", "28.1.1", "28.5.2", "29.1.3", "29.4.3")
NEW = "sha256:" + "cd" * 32
OTHER = Image("sha256:99", ("lab/tool:1", f"lab/tool@sha256:{'ef' * 32}", f"nvcr.io/lab/tool@{DIGEST}"))
ARCHIVE = Archive("/srv/saved.tar", 9, ("lab/saved:1", "lab/saved:latest"), ("sha256:44",), ("amd64",), 9)
FILES_HERE = LocalFiles(archives=(ARCHIVE,))
FILES = (
    None,
    "",
    "{}",
    '{"runtimes": {"nvidia": {"path": "nvidia-container-runtime"}}}',
    '{"default-runtime": "nvidia", "runtimes": {"nvidia": {"args": [], "path": "/usr/bin/nvidia-container-runtime"}}}',
    '{"live-restore": true, "log-driver": "local", "features": {"buildkit": true}}',
    '{"registry-mirrors": ["https://mirror.lab"], "exec-opts": ["native.cgroupdriver=cgroupfs"], "mtu": 1450}',
    '{"insecure-registries": ["10.0.0.0/8"], "live-restore": false, "features": {"cdi": true}}',
)
WISHES: dict[str, tuple[Any, ...]] = {
    "nvidia_toolkit": ("present", "present", "absent"),
    "nvidia_toolkit_version": ("1.19.1", "1.17.8", "1.20.0"),
    "nvidia_toolkit_jetson": ("upgrade",),
    "nvidia_driver": ("absent",),
    "docker_source": ("docker", "distribution"),
    "docker_version": ("28", ">=28.3", "29.4.3", "29.4.4", ">=29.4.4", "27.5.1", "20.10", ">=19.03"),
    "docker_restart": ("when-needed", "when-needed", "when-idle", "never"),
    "docker_users": (("alice",), ("alice", "bob")),
    "docker_live_restore": (True, False),
    "docker_log_driver": ("local", "json-file", "journald"),
    "docker_log_opts": ({"mode": "non-blocking"}, {"mode": "blocking"}),
    "docker_default_address_pools": (({"base": "172.30.0.0/16", "size": 24},),),
    "docker_registry_mirrors": (("https://mirror.lab/",), ("https://mirror.lab", "http://10.0.0.1:5000")),
    "docker_insecure_registries": (("10.0.0.0/8", "registry.lab:5000"), ("127.0.0.0/8",), ("http://a.lab:80",)),
    "docker_repository": ("https://mirror.lab", "https://mirror.lab/docker/"),
    "nvidia_toolkit_repository": ("https://mirror.lab", "http://mirror.lab/nvidia"),
    "images_mirrors": (
        {"nvcr.io": "https://cache.lab:5001", "docker.io": "https://cache.lab:5000"},
        {"nvcr.io": "https://harbor.lab/nvcr", "docker.io": "https://harbor.lab/hub"},
    ),
    "images": (
        ("cuda", "l4t-pytorch"),
        ("lab/tool", "docker.io/lab/tool:latest", "lab/tool:1"),
        (f"lab/tool:1@{DIGEST}", f"nvcr.io/lab/tool@{DIGEST}"),
        (f"lab/tool:1@{NEW}", f"nvcr.io/lab/tool:1@{NEW}", "localhost:5000/lab/tool"),
        ("nvcr.io/lab/tool:1", "lab/saved:1"),
    ),
    "images_prune": (True,),
    "gpu_proof_image": (f"lab/tool:proof@{DIGEST}",),
    "docker_data_root": ("/data/docker", "/var/lib/docker"),
    "docker_cgroup_driver": ("systemd", "cgroupfs"),
    "docker_default_runtime": ("nvidia", "runc"),
    "docker_features": ({"cdi": True}, {"cdi": False}, {"buildkit": False}),
    "docker_http_proxy": ("http://lab:geheim@proxy.lab:3128", ""),
    "docker_no_proxy": ("localhost,.lab",),
    "docker_daemon_json": (
        {"debug": True, "labels": ["a=b", "c=d"]},
        {"features": {"cdi": True}, "max-concurrent-downloads": 2},
        {"runtimes": {"kata": {"path": "kata-runtime"}}, "dns": ["10.0.0.1"]},
        {"default-ulimits": {"nofile": {"Name": "nofile", "Hard": 64000, "Soft": 64000}}, "builder": {}},
        {"default-shm-size": "1G", "shutdown-timeout": 60},
    ),
}


def any_docker(chance: random.Random, release: str) -> Docker:
    """No Docker, or one of any version, state and origin."""
    if chance.random() < 0.25:
        return NO_DOCKER
    version = chance.choice(VERSIONS)
    origin = "docker.io" if chance.random() < 0.2 and release.startswith(("debian", "ubuntu")) else "docker-ce"
    packages = ((origin, f"5:{version}-1"), ("containerd.io", "2.1-1"))
    docker = replace(
        DOCKER,
        origin=origin,
        client_version=version,
        server_version=version,
        packages=(*packages, ("docker-ce-cli", f"5:{version}-1")) if origin == "docker-ce" else packages,
        containers=chance.choice(
            ((), (), (Container("1", "job", "cuda", chance.choice(("runc", "nvidia")), image_id=OTHER.id),))
        ),
        images=chance.choice(((), DOCKER.images, (*(DOCKER.images or ()), OTHER))),
        containerd_store=chance.random() < 0.3,
        daemon_flags=chance.choice(
            ("-H fd://", "-H fd://", "--live-restore -H fd://", "--add-runtime nvidia=n -H fd://")
        ),
        swarm=chance.random() < 0.1,
        group=chance.choice(((), ("alice",))),
        started=READY.time - 1000,
        daemon_json=chance.choice(FILES),
    )
    docker = taken_up(docker, Action.RESTART)
    if chance.random() < 0.2:
        return replace(
            docker, running=False, server_version=None, runtimes=(), default_runtime=None, in_force=(), cdi=False,
            containers=None, images=None, started=None, storage_driver=None, data_root=None,
        )  # fmt: skip
    return docker


def any_toolkit(chance: random.Random) -> Toolkit:
    """None, part of one, an old one, and a good one; CDI specifications of this driver, another, none."""
    version = chance.choice(("1.19.1-1", "1.17.8-1", "1.13.5-1", "1.19.0~rc.1-1", "1.20.0-1", "1.18.1-0ubuntu1"))
    packages = chance.choice(
        ((), tuple((name, version) for name, _ in TOOLKIT_PACKAGES), (("nvidia-container-toolkit", version),))
    )
    packages += chance.choice(((), (), (("nvidia-docker2", "2.13.0-1"),))) if packages else ()
    specs = chance.choice(
        (
            (),
            (CdiSpec("/etc/cdi/nvidia.yaml", "570.86.10"),),
            (CdiSpec("/var/run/cdi/nvidia.yaml", "580.95.05"),),
            (CdiSpec("/etc/cdi/nvidia.yaml", "570.86.10"), CdiSpec("/var/run/cdi/nvidia.yaml", None)),
        )
    )
    path = "/usr/bin/nvidia-container-runtime" if packages else None
    since = chance.choice((None, READY.time - 2000, READY.time - 500)) if packages else None
    return Toolkit(packages, path, specs, chance.choice((None, "auto", "legacy", "csv", "cdi")), since)


def any_host(chance: random.Random) -> Host:
    """A host of any kind whose driver is right, and whose Docker and toolkit are anything."""
    release = chance.choice(list(RELEASES))
    kind = chance.random()
    if kind < 0.15:
        host = with_jetson(JETSON, l4t=chance.choice(("35.4.1", "36.3.0", "36.4.4", "38.2.0")))
    elif kind < 0.3:
        host = WSL
    else:
        host = replace(with_driver(on(release), "580.95.05", "nvidia-driver-cuda"), driver=DRIVER_580)
    proof = chance.choice((None, READY.proof))
    return replace(host, docker=any_docker(chance, release), toolkit=any_toolkit(chance), proof=proof)


def any_wish(chance: random.Random) -> Settings:
    """Settings of any kind."""
    share = chance.choice((0.0, 0.05, 0.1, 0.3, 0.6))
    often = share**0.5  # those of images, of which it takes several together
    return Settings.model_validate(
        {
            name: chance.choice(values)
            for name, values in WISHES.items()
            if chance.random() < (often if name.startswith("images") else share)
        }
    )


def taken_up(docker: Docker, action: Action, before: dict[str, Any] | None = None) -> Docker:
    """What the daemon says of a file that it has read: by SIGHUP it takes some keys, and keeps those that are gone."""
    keys = Keys.of(CATALOGUE, docker.server_version or "")
    config = json.loads(docker.daemon_json or "{}")
    if action is Action.RELOAD:
        old = before or {}
        mixed = {name: value for name, value in old.items() if not (keys.rows[name].reload and name in config)}
        config = mixed | {name: value for name, value in config.items() if name in keys.rows and keys.rows[name].reload}
        cdi = old.get("features", {}).get("cdi")
    else:
        cdi = config.get("features", {}).get("cdi")
    version = docker.server_version or ""
    flags = docker.daemon_flags or ""
    runtimes = {"runc", *(config.get("runtimes") or {})}
    if "--add-runtime nvidia" in flags and (action is Action.RESTART or "runtimes" not in config):
        runtimes.add("nvidia")
    default: dict[str, Any] = {
        "default-runtime": "runc",
        "live-restore": "--live-restore" in flags,
        "debug": False,
        "log-driver": "json-file",
        "data-root": "/var/lib/docker",
        "storage-driver": "overlay2",
        "exec-opts": ["native.cgroupdriver=systemd"],
        **config,
        "runtimes": {name: {} for name in runtimes},
    }
    lines = [line for name, value in default.items() for line in keys.lines((name,), value)]
    return replace(
        docker,
        runtimes=tuple(sorted(runtimes)),
        default_runtime=default["default-runtime"],
        in_force=tuple(lines),
        cdi=not is_older(version, "28.2") if cdi is None else bool(cdi) and not is_older(version, "25.0"),
        storage_driver="overlay2",
        data_root=default["data-root"],
    )


def after(host: Host, plan: Plan) -> Host:
    """The host as the plan leaves it; a clock that goes on, and no step that fails."""
    host = replace(host, time=host.time + 1000)
    docker, toolkit = host.docker, host.toolkit
    if plan.docker.packages:
        docker = installed(docker, plan)
        docker = replace(docker, started=host.time + 1)
    elif plan.docker.start:
        docker = replace(docker, running=True, server_version=docker.client_version, containers=(), images=())
        docker = replace(taken_up(docker, Action.RESTART), started=host.time + 1)
    files = {file.path: file.text for file in docker.registry_files if file.path not in plan.mirrors.remove}
    files |= dict(plan.mirrors.files)
    registry_files = tuple(SourceFile(path, text) for path, text in files.items())
    docker = replace(docker, group=(*docker.group, *plan.docker.users), registry_files=registry_files)
    if plan.toolkit.packages:
        version = f"{plan.toolkit.release or '1.20.0'}-1"
        names = [name for name, _ in toolkit.packages if name not in (*plan.toolkit.packages, *plan.toolkit.remove)]
        packages = sorted([*((name, "1") for name in names), *((name, version) for name in plan.toolkit.packages)])
        path = "/usr/bin/nvidia-container-runtime"
        toolkit = replace(toolkit, packages=tuple(packages), runtime_path=path, hook_since=host.time + 2)
    docker = changed(docker, toolkit, plan.daemon, host.time + 3)
    if plan.toolkit.uninstall:
        toolkit = Toolkit((), None, ())
    if plan.toolkit.cdi or plan.toolkit.stale_specs:
        specs = [spec for spec in toolkit.cdi_specs if spec.path not in plan.toolkit.stale_specs]
        ours = CdiSpec("/var/run/cdi/nvidia.yaml", host.driver.loaded_version)
        toolkit = replace(toolkit, cdi_specs=(*(spec for spec in specs if spec.driver == ours.driver), ours))
    if plan.images.load or plan.images.pull or plan.images.prune:
        docker = with_images(docker, plan.images)
    added = [SourceFile(one.source_path, one.source) for one in plan.repositories]
    replaced = {path: text for one in plan.repositories for path, _, text in one.migrated}
    kept = [replace(file, text=replaced.get(file.path, file.text)) for file in host.packages.sources]
    keyrings = tuple((one.key_path, "00") for one in plan.repositories)
    sources = (*(file for file in kept if file.path not in [one.path for one in added]), *added)
    packages_facts = replace(host.packages, sources=sources, keyrings=(*host.packages.keyrings, *keyrings))
    driver = NO_DRIVER if plan.driver.uninstall else DRIVER_580 if plan.driver.packages else host.driver
    host = replace(host, driver=driver, docker=docker, toolkit=toolkit, packages=packages_facts)
    return replace(host, proof=proof_of(host, plan)) if plan.proof.run else host


def with_images(docker: Docker, plan: ImagesPlan) -> Docker:
    """Docker once archives are loaded, images pulled and others removed. A name is one image's at a time."""
    images = {image.id: set(image.names) for image in docker.images or ()}
    for archive in plan.load:
        give(images, archive.ids[0], *archive.names)
    for pull in plan.pull:
        digest = pull.digest or digest_of(pull.source)
        give(
            images,
            f"of {digest}",
            *filter(None, (pull.source, pull.tag, f"{parse_reference(pull.source).name}@{digest}")),
        )
    for name in plan.prune:
        image = next(image for image in images if name in images[image])
        assert image not in {container.image_id for container in docker.containers or ()}
        give(images, image)
        images[image].discard(name)
    return replace(docker, images=tuple(Image(image, tuple(sorted(names))) for image, names in images.items()))


def give(images: dict[str, set[str]], image: str, *names: str) -> None:
    """Give the image these names; who has one of them loses it, and stays."""
    for others in images.values():
        others.difference_update(names)
    images.setdefault(image, set()).update(names)


def digest_of(text: str) -> str:
    """What a registry says that a name is today."""
    return f"sha256:{sha256(text.encode()).hexdigest()}"


def answered(plan: Plan, host: Host) -> Plan:
    """The plan after the registries were asked, which have everything."""
    one = HostPulls("a", host, plan.images, plan.mirrors)
    platform = go_architecture(host)
    images: dict[str, Found | Missing] = {}
    for question in questions([one]):
        digest = parse_reference(question.reference).digest or digest_of(question.reference)
        manifest = Manifest("sha256:1", "linux", platform, layers=(Layer("sha256:2", 9),), diff_ids=("sha256:3",))
        images[question.reference] = Found(question.reference, digest, (manifest,))
    settled, _ = settle([one], Answers(images, {}))
    return settle_images(plan, host, settled["a"])


def installed(docker: Docker, plan: Plan) -> Docker:
    """The engine that the plan's packages bring: the newest that it allows."""
    name = plan.docker.packages[0]
    newest = {"": "29.9.0", "27": "27.5.1", "28": "28.5.2", "29": "29.9.0", "29.4": "29.4.4", "20.10": "20.10.24"}
    newest |= {"28.5": "28.5.2", "26.1": "26.1.9"}
    version = newest.get(plan.docker.release, plan.docker.release)
    if name == "docker.io":
        version = plan.docker.floor or version
        version = "29.1.3" if version.count(".") < 2 else version
    packages = tuple((one, f"5:{version}-1") for one in plan.docker.packages)
    fresh = replace(
        docker,
        installed=True,
        origin=name,
        running=True,
        client_version=version,
        server_version=version,
        packages=packages,
        containers=docker.containers or (),
        images=docker.images or (),
        daemon_flags=docker.daemon_flags or "-H fd://",
    )
    return taken_up(fresh, Action.RESTART)


def changed(docker: Docker, toolkit: Toolkit, plan: DaemonPlan, time: int) -> Docker:
    """Docker once daemon_json.sh has run: what it takes up, and by which way."""
    if plan.text is None:
        return docker
    is_kept = not docker.running_containers or plan.bridge or "live-restore=true" in docker.in_force
    action = Action.RESTART if plan.for_gpus and is_kept else plan.action
    before = json.loads(docker.daemon_json or "{}")
    text = plan.text
    docker = replace(docker, daemon_json=text, ledger=plan.ledger, pending=False)
    docker = taken_up(docker, action, before)
    if action is Action.RESTART:
        docker = replace(docker, started=time)
        if plan.stops_containers:
            stopped = tuple(replace(container, running=False) for container in docker.containers or ())
            docker = replace(docker, containers=stopped)
    unmet = [line for line in plan.expected if (line.removeprefix("!") in docker.in_force) is line.startswith("!")]
    assert not unmet, (unmet, plan, docker)
    return docker


def proof_of(host: Host, plan: Plan) -> Proof:
    """The record of a proof in which each mechanism works."""
    driver = host.driver.loaded_version
    if host.jetson:
        driver = f"L4T {host.jetson.l4t}"
    elif host.wsl:
        driver = "Windows driver"
    others = tuple(Attempt(mechanism, "ok", "CDI") for mechanism in plan.proof.also)
    return Proof(host.time + 9, "ok", plan.proof.image, driver or "", host.boot, plan.proof.mechanism, 1, others=others)


def test_what_a_run_leaves_needs_nothing() -> None:
    chance, outcomes = random.Random(7), Counter[str]()
    for _ in range(WALKS):
        host = any_host(chance)
        for _ in range(STEPS):
            wish = any_wish(chance)
            plan = answered(make_plan(wish, host, CATALOGUE, files=FILES_HERE), host)
            findings = check(plan, host, CATALOGUE)
            said = "\n".join((*describe_plan(plan, host), *describe_findings(findings)))
            assert "geheim" not in said
            outcomes["changed" if needs_something(plan) else "kept"] += 1
            outcomes["refused"] += bool(plan.refusals)
            host = after(host, plan)
            again = make_plan(wish, host, CATALOGUE, files=FILES_HERE)
            # A Docker that was stopped can be asked the next time.
            if not any("could not be asked" in refusal.seen for refusal in plan.refusals):
                assert not needs_something(again), [wish.model_dump(exclude_defaults=True), said, plan, host, again]
    assert min(outcomes.values()) > WALKS // 3, outcomes
