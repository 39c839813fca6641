"""Our catalogue against NVIDIA's own tables of GPUs: a program, `python -m tests.vendor_table nvGpus.h [README.md …]`.

``nvGpus.h`` is a file of NVIDIA/nvidia-installer; a README is that of one tag of NVIDIA/open-gpu-kernel-modules.
Neither is kept here. It prints how many rows of each kind were compared and every one that differs, and its exit
status is 1 where one does. An id that a branch's README leaves out may still be served by that branch: that is noted.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from deploys.planning.catalogue import Catalogue, GpuRange, load_catalogue
from deploys.planning.gpus import find_gpus, refuse_vgpu
from deploys.planning.records import Refusal
from tests.planning.hosts import BARE, gpu

CATALOGUE: Catalogue = load_catalogue()
NVIDIA = 0x10DE
# Nothing of ours distinguishes branches up to this one: none of them is to be had anywhere.
OLDEST = 340
NEWEST = 999
# Since these tables say "legacy" of Maxwell, Pascal and Volta, their flags leave them out.
OPEN_ONLY, EITHER, PROPRIETARY_ONLY = "open", "open-preferred", "proprietary"


class Comparison:
    """Counts of what was compared, by kind, and the lines of what differs."""

    def __init__(self) -> None:
        self.compared: Counter[str] = Counter()
        self.differing: list[str] = []
        self.notes: list[str] = []

    def expect(self, kind: str, what: str, expected: object, ours: object) -> None:
        """One row: ``what`` is said to be ``expected``, and ours is that or not."""
        self.compared[kind] += 1
        if expected != ours:
            self.differing.append(f"{kind}: {what}: NVIDIA has {expected}, the catalogue {ours}")


def row_of(device: int) -> GpuRange:
    """The row that the planner finds for this device."""
    found = find_gpus(replace(BARE, gpus=(gpu(device),)), CATALOGUE)
    assert not isinstance(found, Refusal)
    return found.rows[0][1]


def is_virtual(device: int, vendor: int, subsystem: int) -> bool:
    """Whether the planner takes a GPU of this subsystem for a virtual one."""
    board = replace(gpu(device), subsystem=f"{vendor:#06x}:{subsystem:#06x}")
    return refuse_vgpu(replace(BARE, gpus=(board,)), CATALOGUE) is not None


def describe(board: tuple[int, int, int]) -> str:
    """Device and subsystem as the header writes them."""
    return " ".join(f"{number:#06x}" for number in board)


def rows_in(text: str, table: str) -> Iterator[list[str]]:
    """The rows of one table of the header, as lists of their words, names in quotation marks included."""
    body = text.split(f" {table}[]", 1)[1].split("};", 1)[0]
    for row in re.findall(r"^\s*\{(.*?)\}", body, re.MULTILINE):
        yield [word.strip().strip('"') for word in row.split(",")]


def compare_header(text: str, found: Comparison) -> set[int]:
    """The header's rows against ours. Returns the ids that it says anything of."""
    branches = {number: int(name.removesuffix(".xx").split(".")[0]) for number, name in rows_in(text, "LegacyStrings")}
    limits = (*branches.values(), OLDEST, NEWEST)
    known: set[int] = set()
    for device, _, _, number, *name in rows_in(text, "LegacyList"):
        row, last = row_of(int(device, 16)), max(branches[number], OLDEST)
        serving = [limit for limit in limits if row.is_served_by(str(limit))]
        found.expect("last branch", f"{device} ({', '.join(name)})", last, max(serving, default=None))
        found.expect("legacy modules", device, PROPRIETARY_ONLY, row.modules)
        known.add(int(device, 16))
    for device, flags in rows_in(text, "GpuFlagList"):
        row = row_of(int(device, 16))
        modules = PROPRIETARY_ONLY if "NO_GSP" in flags else EITHER if "PROPRIETARY" in flags else OPEN_ONLY
        found.expect("modules", device, modules, row.modules)
        found.expect("in current branches", device, True, row.is_served_by(str(NEWEST)))
        known.add(int(device, 16))
    guests = {
        (int(device, 16), int(vendor, 16), int(subsystem, 16))
        for device, vendor, subsystem, flags in rows_in(text, "GpuSubDeviceFlagList")
        if "VGPU_GUEST" in flags
    }
    for guest in guests:
        found.expect("vGPU", describe(guest), True, is_virtual(*guest))
    for board in {(device, vendor, number + step) for device, vendor, number in guests for step in (-1, 1)} - guests:
        found.expect("beside a vGPU", describe(board), False, is_virtual(*board))
    return known


def compare_readme(text: str, known: set[int], found: Comparison) -> tuple[int, set[int]]:
    """The ids of a README's table against ours. Returns the branch of the README, and the ids."""
    version = re.search(r"^version (\d{3})\.", text, re.MULTILINE)
    if not version:
        raise SystemExit("no line `version 580.…` in what should be a README of open-gpu-kernel-modules")
    branch = int(version[1])
    ids = {int(device, 16) for device in re.findall(r"^\|.*\| ([0-9A-F]{4})\b[0-9A-F ]*\|$", text, re.MULTILINE)}
    is_ours = str(branch) in {row.branch for row in CATALOGUE.branch}
    for device in ids:
        row = row_of(device)
        if is_ours:
            found.expect(f"in {branch}", f"{device:#06x}", True, row.is_served_by(str(branch)))
        if row.modules != "integrated":
            found.expect("open modules", f"{device:#06x}", True, row.modules in (OPEN_ONLY, EITHER))
        if known and device not in known and row.modules != "integrated":
            found.expect("open modules only", f"{device:#06x}", OPEN_ONLY, row.modules)
    return branch, ids


def note_late_listings(listed: dict[int, set[int]], found: Comparison) -> None:
    """Ids that we have served by a branch whose README does not list them, though a later one does."""
    ours = [branch for branch in sorted(listed) if str(branch) in {row.branch for row in CATALOGUE.branch}]
    for branch in ours:
        later = {device for other, ids in listed.items() if other > branch for device in ids - listed[branch]}
        rows = {device: row_of(device) for device in later}
        early = sorted(
            device for device, row in rows.items() if row.modules != "integrated" and row.is_served_by(str(branch))
        )
        if early:
            found.notes.append(f"not listed by {branch}: " + ", ".join(f"{device:#06x}" for device in early))


def main(paths: list[str]) -> int:
    """Compare, print, and return the exit status."""
    if not paths:
        print(__doc__)
        return 2
    found = Comparison()
    known = compare_header(Path(paths[0]).read_text(), found)
    listed = dict(compare_readme(Path(path).read_text(), known, found) for path in paths[1:])
    note_late_listings(listed, found)
    for kind, count in found.compared.items():
        print(f"{kind}: {count} compared")
    for line in (*found.notes, *found.differing):
        print(line)
    print(f"{sum(found.compared.values())} compared, {len(found.differing)} differ")
    return 1 if found.differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
