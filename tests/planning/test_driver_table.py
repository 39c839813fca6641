"""The cases of ``driver_cases.txt``: GPUs, system and settings, and what the vendors' documents say must come out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from deploys.planning.catalogue import Catalogue, load_catalogue
from deploys.planning.driver import plan_driver
from deploys.planning.records import DriverPlan
from deploys.planning.settings import Settings
from facts.model import Display, Gpu, Host
from tests.planning.hosts import gpu, on

CATALOGUE: Catalogue = load_catalogue()
TEXT = (Path(__file__).parent / "driver_cases.txt").read_text()
KEY = {"nvidia_driver_key_fingerprint": "AB" * 20}
DISPLAYS: dict[str, Callable[[str], Display]] = {
    "manager": lambda value: Display("graphical.target", value, ()),
    "target": lambda value: Display("graphical.target", None, (), target_chosen=value == "chosen"),
    "screen": lambda value: Display(None, None, (value,)),
}
SECURE = {"on": (True, False), "unknown": (None, False), "enrolled": (True, True)}


@dataclass(frozen=True)
class Case:
    """One line's case, with the words it came from."""

    place: str
    gpus: str
    settings: str
    expected: str
    parts: str

    def __str__(self) -> str:
        return f"{self.place} | {self.gpus} | {self.settings}"


def cases(text: str) -> Iterator[Case]:
    """Every case of some lines: places by GPUs."""
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        places, devices, settings, expected, parts = [*(word.strip() for word in line.split("|")), ""][:5]
        for place in places.split("/"):
            for device in devices.split(","):
                yield Case(place.strip(), device.strip(), settings, expected, parts)


SECTIONS = {part.partition("\n")[0]: part.partition("\n")[2] for part in TEXT.split("\n## ")[1:]}


def read_gpu(word: str, slot: int) -> Gpu:
    """``2330:16C1@vfio-pci``: device, its subsystem (``1028/187A`` with its vendor), the driver that owns it."""
    board, _, owner = word.partition("@")
    device, _, subsystem = board.partition(":")
    found = gpu(int(device, 16), driver=owner or None, address=f"0000:{slot:02x}:00.0")
    vendor, _, number = subsystem.rpartition("/")
    return replace(found, subsystem=f"0x{vendor or '10de'}:0x{number.lower()}") if subsystem else found


def read_host(case: Case) -> Host:
    """The host of a case's place and GPUs."""
    release, *words = case.place.split()
    values = dict(word.partition("=")[::2] for word in words)
    host = on(
        release,
        arm="arm" in values,
        kernel=values.get("kernel", ""),
        next_boot=values.get("next", ""),
        packages=values.get("has", "").replace(",", " "),
    )
    gpus = tuple(read_gpu(word, slot) for slot, word in enumerate(case.gpus.split("+"))) if case.gpus else ()
    host = replace(host, gpus=None if values.get("gpus") == "unknown" else gpus)
    if "nvswitch" in values:
        host = replace(host, nvswitches=("0000:a0:00.0", "0000:a1:00.0"))
    if "secure" in values:
        state, enrolled = SECURE[values["secure"]]
        host = replace(host, secure_boot=state, driver=replace(host.driver, module_key_enrolled=enrolled))
    for name, make in DISPLAYS.items():
        if name in values:
            host = replace(host, display=make(values[name]))
    return host


def read_settings(case: Case) -> Settings:
    """The settings of a case."""
    values = dict(word.partition("=")[::2] for word in case.settings.split())
    key = KEY if values.pop("key", None) is not None else {}
    return Settings.model_validate({f"nvidia_driver_{name}": value for name, value in values.items()} | key)


def origin(plan: DriverPlan) -> str:
    """nvidia or distribution, as the plan tells people."""
    return "nvidia" if any("from NVIDIA's repository" in note.choice for note in plan.notes) else "distribution"


def differences(case: Case, plan: DriverPlan) -> Iterator[str]:
    """What is not as the case says."""
    for kind, text in (("refused:", str(plan.refusal)), ("left alone:", " ".join(note.because for note in plan.notes))):
        if case.expected.startswith(kind):
            if case.expected.removeprefix(kind).strip() not in text:
                yield text
            if plan != DriverPlan(refusal=plan.refusal, notes=() if plan.refusal else plan.notes):
                yield "something is planned besides"
            return
    if plan.refusal:
        yield str(plan.refusal)
        return
    words = case.expected.split()
    if words != [plan.branch, plan.flavour, origin(plan)][: len(words)]:
        yield f"{plan.branch} {plan.flavour} {origin(plan)}"
    yield from _parts(case, plan)


def _parts(case: Case, plan: DriverPlan) -> Iterator[str]:
    known = {
        "first": plan.first,
        "lead": (plan.lead,),
        "stream": (plan.stream,),
        "hold": plan.hold,
        "services": plan.services,
        "same": plan.same_version,
        "release": (plan.release,),
        "preferences": (plan.preferences,),
    }
    names = [word for word in case.parts.split() if "=" not in word]
    for word in set(case.parts.split()) - set(names):
        name, _, value = word.partition("=")
        if tuple(sorted(value.split(",") if value else [])) != tuple(sorted(filter(None, known[name]))):
            yield f"{name} is {known[name]}"
    exact = {word for word in names if word[0] not in "+-"}
    if exact and exact != set(plan.packages):
        yield f"packages are {' '.join(plan.packages)}"
    if len(set(plan.packages)) != len(plan.packages):
        yield "a package is named twice"
    for word in names:
        if word[0] in "+-" and (word[1:] in plan.packages) != (word[0] == "+"):
            yield f"{word} is not so: {' '.join(plan.packages)}"


@pytest.mark.parametrize("section", SECTIONS)
def test_documents_and_planner_agree(section: str) -> None:
    found = [(case, plan_driver(read_settings(case), read_host(case), CATALOGUE)) for case in cases(SECTIONS[section])]
    wrong = [f"{case}\n    {text}" for case, plan in found for text in differences(case, plan)]
    assert not wrong, f"{len(wrong)} of {len(found)}:\n" + "\n".join(wrong)


def test_there_are_hundreds_of_cases_and_none_is_there_twice() -> None:
    every = [case for text in SECTIONS.values() for case in cases(text)]
    assert len(every) > 500
    assert len(set(every)) == len(every)
