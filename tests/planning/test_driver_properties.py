"""What holds of every plan for a driver, looked at on made-up hosts that go from one random wish to the next."""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import replace

from deploys.planning.catalogue import Catalogue, load_catalogue
from deploys.planning.driver import plan_driver
from deploys.planning.records import DriverPlan, Refusal
from deploys.planning.settings import Settings
from facts.model import Display, Host, Kernel, SourceFile
from tests.planning.hosts import RELEASES, gpu, on

CATALOGUE: Catalogue = load_catalogue()
WALKS, STEPS = 300, 5
DEVICES = (
    0x05E0,
    0x06C0,
    0x102D,
    0x0FF2,
    0x13C2,
    0x1DB4,
    0x1EB8,
    0x20B5,
    0x2330,
    0x2335,
    0x2342,
    0x2901,
    0x2BB5,
    0x3300,
)
KERNELS = {
    "debian-13": ("6.12.94+deb13-amd64", "6.12.111+deb13-cloud-amd64"),
    "ubuntu-22.04": ("6.8.0-65-generic", "5.15.0-1080-aws"),
    "ubuntu-24.04": ("6.8.0-101-generic", "6.14.0-33-generic", "6.8.0-1021-nvidia-64k"),
}
METAPACKAGES = ("", "", "dkms", "linux-generic linux-image-generic linux-firmware", "linux-image-generic-hwe-24.04")
# The newest of each branch (NVIDIA's bulletins; 620: installation guide). Anything would do here.
NEWEST = {"390": "390.157", "470": "470.256.02", "535": "535.309.01", "550": "550.163.01", "580": "580.178.04"}
NEWEST |= {"590": "590.48.01", "595": "595.91.07", "610": "610.57.04", "615": "615.71.09", "620": "620.70.06"}
WISHES = {
    "nvidia_driver_branch": (
        "auto",
        "auto",
        "lts",
        "production",
        "580",
        "595",
        "535",
        "470",
        "580.95.05",
        "595.71",
        "620",
    ),
    "nvidia_driver_modules": ("auto", "open", "proprietary"),
    "nvidia_driver_source": ("auto", "nvidia", "distribution"),
    "nvidia_driver_usage": ("auto", "compute", "desktop"),
    "nvidia_driver_key_fingerprint": (None, "AB" * 20),
    "nvidia_driver_runfile": ("refuse", "uninstall"),
    "nvidia_driver_reload": (True, False),
    "reboot": (None, "when-idle", "when-needed", "never"),
}


def any_host(chance: random.Random) -> Host:
    """A bare host of any kind that there is a row for."""
    release = chance.choice(list(RELEASES))
    next_boot = chance.choice(("", *KERNELS.get(release, ())))
    host = on(release, arm=chance.random() < 0.2, next_boot=next_boot, packages=chance.choice(METAPACKAGES))
    found = chance.choices(DEVICES, k=chance.choice((1, 1, 1, 2)))
    return replace(
        host,
        gpus=tuple(gpu(device, address=f"0000:{slot:02x}:00.0") for slot, device in enumerate(found)),
        nvswitches=("0000:a0:00.0",) if chance.random() < 0.15 else (),
        secure_boot=chance.choice((False, False, False, True, None)),
        driver=replace(
            host.driver,
            module_key_enrolled=chance.choice((None, True, False)),
            nouveau_loaded=chance.random() < 0.3,
            users=("python3 (pid 812)",) if chance.random() < 0.1 else (),
        ),
        display=chance.choice((Display(None, None, ()), Display("graphical.target", "gdm3", ("card1-DP-1",)))),
    )


def any_wish(chance: random.Random) -> Settings:
    """Settings of any kind, for a driver that is wished for."""
    left_open = chance.random()
    values = {name: chance.choice(values) for name, values in WISHES.items() if chance.random() > left_open}
    return Settings.model_validate(values)


def after(host: Host, plan: DriverPlan) -> Host:
    """The host as the plan leaves it, booted anew: what it names is installed, in the newest version of the release."""
    version = NEWEST.get(plan.release) or (plan.release if plan.release.count(".") > 1 else f"{plan.release}.01")
    is_nvidia = any("from NVIDIA's repository" in note.choice for note in plan.notes)
    ending = {"ubuntu": "1ubuntu1" if is_nvidia else "0ubuntu0.24.04.1", "debian": "1" if is_nvidia else "2"}
    stays = [name for name, _ in host.driver.packages if name not in (*plan.remove, *plan.allowed)]
    comes = [name for name in (*plan.first, *plan.packages) if re.search(r"^(lib|kmod-)?nvidia|cuda|s-nvidia-\d", name)]
    names = sorted({*stays, *comes})
    driver = replace(
        host.driver,
        loaded_version=version,
        disk_version=version,
        next_boot_version=version,
        library_version=version,
        loaded_flavour=plan.flavour,
        disk_flavour=plan.flavour,
        nouveau_loaded=False,
        packages=tuple((name, f"{version}-{ending.get(host.os.id, '1.el9')}") for name in names),
    )
    added = [SourceFile(plan.repository.source_path, plan.repository.source)] if plan.repository else []
    packages = replace(host.packages, sources=(*host.packages.sources, *added))
    kernel = host.kernel.next_boot or host.kernel.running
    return replace(host, driver=driver, packages=packages, kernel=Kernel(kernel, kernel, ()))


def look_at(plan: DriverPlan, host: Host) -> None:
    """What holds of one plan."""
    if plan.refusal:
        assert all(isinstance(part, str) and part for part in vars(plan.refusal).values()), plan.refusal
        assert "{" not in str(plan.refusal)
        assert "None" not in str(plan.refusal)
        names = (plan.first, plan.packages, plan.remove, plan.allowed, plan.uninstall, plan.repository)
        assert not any(names), plan
        return
    installed = {name for name, _ in host.driver.packages}
    wanted = [*plan.first, *plan.packages]
    for name in (*wanted, *plan.hold, *plan.services, *([plan.lead] if plan.lead else ())):
        assert re.fullmatch(r"[a-z0-9][A-Za-z0-9.+_~-]+", name), name
    assert len(wanted) == len(set(wanted))
    assert {*plan.remove, *plan.allowed} <= installed
    assert not {*plan.remove} & {*plan.allowed}
    assert not {*plan.remove, *plan.allowed} & {*wanted}
    assert {*plan.same_version} <= {*plan.packages}
    if plan.packages:
        assert plan.lead in plan.packages
        assert plan.branch == plan.release.split(".")[0]
        assert plan.manager in ("apt", "dnf")
        assert bool(plan.preferences) is (plan.manager == "apt")


def test_every_plan_is_whole_and_a_host_as_it_leaves_it_is_kept() -> None:
    chance, outcomes = random.Random(3), Counter[str]()
    for _ in range(WALKS):
        host = any_host(chance)
        for _ in range(STEPS):
            wish, update = any_wish(chance), chance.random() < 0.1
            plan = plan_driver(wish, host, CATALOGUE, update=update)
            look_at(plan, host)
            outcomes["refused" if plan.refusal else "changed" if plan.packages else "kept"] += 1
            if not plan.packages:
                continue
            host = after(host, plan)
            again = plan_driver(wish, host, CATALOGUE)
            assert (again.refusal, again.packages, again.reboot_due) == (None, (), False), (wish, again, host)
            gone = plan_driver(wish.model_copy(update={"nvidia_driver": "absent"}), host, CATALOGUE)
            look_at(gone, host)
            assert isinstance(gone.refusal, Refusal) or {*gone.uninstall} == {name for name, _ in host.driver.packages}
    assert min(outcomes[kind] for kind in ("refused", "changed", "kept")) > WALKS // 4, outcomes
