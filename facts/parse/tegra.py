"""Tegra and Jetson: device tree, L4T release, module.

Sources: NVIDIA's L4T releases r32 to r39 as pasted in public issues, NVIDIA/jetson-gpio (compatible strings),
rbonghi/jetson_stats (module ids, and that BOARD in the release file is always wrong).
"""

from __future__ import annotations

import re

from ..model import Jetson, PlatformKind
from .answer import Answer
from .packages import installed, pick

# Fuse chip ids, as r32 shows them: Nano and TX1, TX2, Xavier.
CHIP_IDS = {"33": "tegra210", "24": "tegra186", "25": "tegra194"}
SOC = re.compile(r"nvidia,(tegra(?:210|186|194|234|264))\b")
ORIN = "nvidia,tegra23x"


def compatible(answer: Answer) -> tuple[str, ...]:
    """The device tree's ``compatible`` entries, most specific first."""
    return tuple(entry for entry in answer.all("board", "tree_compatible") if entry)


def tree_model(answer: Answer) -> str | None:
    """The device tree's ``model``: for people, not for decisions."""
    return answer.first("board", "tree_model")


def is_tegra(answer: Answer) -> tuple[bool, tuple[str, ...]]:
    """Whether the SoC is one of the Jetson family, and what says so.

    Never from the architecture, the host name, the kernel's suffix, BOARD or nvidia-smi: each misleads.
    """
    entry = next((entry for entry in compatible(answer) if SOC.match(entry) or entry == ORIN), None)
    if entry:
        return True, (f"device tree compatible says {entry}",)
    if compatible(answer):
        return False, ()
    family = answer.first("board", "soc_family") or ""
    if family.lower().startswith("tegra"):
        return True, (f"/sys/devices/soc0/family says {family}",)
    chip = answer.first("board", "chip_id") or ""
    return (True, (f"tegra_chip_id says {chip}",)) if chip in CHIP_IDS else (False, ())


def read_jetson(answer: Answer, kind: PlatformKind) -> Jetson | None:
    """The Jetson record, or None where the platform is another."""
    if kind is not PlatformKind.JETSON:
        return None
    packages = installed(answer)
    return Jetson(
        model=tree_model(answer),
        module=find_module(answer),
        soc=find_soc(answer),
        l4t=l4t_release(answer) or l4t_of_package(packages),
        jetpack=dict(packages).get("nvidia-jetpack"),
        packages=pick(packages, r"nvidia-l4t-.*"),
    )


def find_soc(answer: Answer) -> str | None:
    """tegra210, tegra186, tegra194, tegra234 or tegra264."""
    entries = compatible(answer)
    for entry in entries:
        match = SOC.match(entry)
        if match:
            return match[1]
    if ORIN in entries:
        return "tegra234"
    return CHIP_IDS.get(answer.first("board", "chip_id") or "")


def l4t_release(answer: Answer) -> str | None:
    """36.4.3 from ``# R36 (release), REVISION: 4.3, …``. Only the first line counts; spaces may lack."""
    text = answer.files.get("/etc/nv_tegra_release") or ""
    line = text.split("\n", 1)[0]
    match = re.match(r"#?\s*R(\d{1,3})\b.*?REVISION:\s*(\d+(?:\.\d+)*)", line)
    return f"{match[1]}.{match[2]}" if match else None


def l4t_of_package(packages: tuple[tuple[str, str], ...]) -> str | None:
    """36.4.3 from nvidia-l4t-core's version 36.4.3-20250107174145: minimal images lack the release file."""
    version = dict(packages).get("nvidia-l4t-core", "").split("-")[0]
    return version if re.fullmatch(r"\d+(\.\d+)+", version) else None


def find_module(answer: Answer) -> str | None:
    """The module, p3767-0003: from the boot configuration, else the device tree.

    The device tree may list several models of one family; then only the family is known: p3767.
    """
    boot = re.search(
        r"^TNSPEC\s+(\d{4})-[^-\s]*-(\d{4})-",
        answer.files.get("/etc/nv_boot_control.conf") or "",
        re.MULTILINE,
    )
    if boot:
        return f"p{boot[1]}-{boot[2]}"
    entries = " ".join(compatible(answer))
    modules: set[str] = set(re.findall(r"\+(p\d{4}-\d{4})", entries)) or set(board_ids(answer))
    modules = modules or set(re.findall(r"nvidia,(p\d{4}-\d{4})", entries)[:1])
    if len(modules) == 1:
        return modules.pop()
    families = {module.split("-")[0] for module in modules}
    return families.pop() if len(families) == 1 else None


def board_ids(answer: Answer) -> tuple[str, ...]:
    """Modules in ``nvidia,boardids`` (r32 to r35): ``3636:0001:A0`` is p3636-0001."""
    pairs = (re.match(r"(\d{4}):(\d{4})", value) for value in answer.all("board", "tree_boardids"))
    return tuple(f"p{pair[1]}-{pair[2]}" for pair in pairs if pair)
