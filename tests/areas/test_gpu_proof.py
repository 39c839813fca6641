"""The proof in containers, in a real shell with a stand-in Docker."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from deploys.planning.proof import CDI, GPUS, RUNTIME, explain
from facts.model import Attempt, Proof
from facts.parse.answer import Answer
from facts.parse.machine import read_proof
from tests.areas.shell import Finished, Place

RECORD = "/var/lib/gpu-hosts/proof"
IMAGE = ("python:3@sha256:1", "python@sha256:1", "python:3")
GOOD = "printf 'ok\\n1\\nNVIDIA L4\\nbind\\n'"


def run_proof(place: Place, docker_run: str, *mechanisms: str, driver: str = "580.95.05") -> Finished:
    """Run the script with a Docker whose ``run`` does this: sh text."""
    place.stand_in("docker", f'[ "$1" = run ] || exit 0\n{docker_run}')
    return place.run("gpu_proof", arguments=(*IMAGE, driver, *(mechanisms or (RUNTIME,))))


def prove(place: Place, docker_run: str, *mechanisms: str, driver: str = "580.95.05") -> Proof:
    """The proof that the script records, as the probe's parser reads it."""
    assert run_proof(place, docker_run, *mechanisms, driver=driver).status == 0
    found = read_proof(Answer(1, True, {}, {RECORD: place.path(RECORD).read_text()}))
    assert found
    return found


def runs(place: Place) -> list[str]:
    """What ``docker run`` was called with; the program, which has many lines, is not all there."""
    return [call for call in place.calls("docker") if call.startswith("run ")]


def this_boot() -> str:
    """The boot's identity as Host.boot has it: proc(5), fields of /proc/1/stat."""
    fields = Path("/proc/1/stat").read_text().rpartition(") ")[2].split()
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}/{fields[19]}"


def test_good_proof_is_recorded_as_the_next_run_reads_it(place: Place) -> None:
    found = prove(place, "printf 'ok\\n2\\nNVIDIA L4, NVIDIA L4\\nvoid\\n'", RUNTIME, GPUS, CDI)
    assert found.time > 1_700_000_000
    assert replace(found, time=0) == Proof(
        time=0,
        result="ok",
        image="python:3@sha256:1",
        driver="580.95.05",
        boot=this_boot(),
        mechanism="--runtime=nvidia",
        devices=2,
        names="NVIDIA L4, NVIDIA L4",
        injected="CDI",
        others=(Attempt("--gpus all", "ok", "CDI"), Attempt("--device nvidia.com/gpu=all", "ok", "CDI")),
    )


# The toolkit's CDI specifications set NVIDIA_VISIBLE_DEVICES=void, those in memory too, and Tegra's mode csv makes one
# (nvidia-container-toolkit, pkg/nvcdi/wrapper.go, internal/modifier/csv.go); the hook bind-mounts the device nodes.
@pytest.mark.parametrize(
    ("mechanism", "sign", "tegra", "injected"),
    [
        (RUNTIME, "void", False, "CDI"),
        (RUNTIME, "bind", False, "legacy hook"),
        (RUNTIME, "", False, "runtime (auto)"),
        (RUNTIME, "void", True, "csv"),
        (RUNTIME, "", True, "csv"),
        (RUNTIME, "bind", True, "legacy hook"),
        (GPUS, "void", False, "CDI"),
        (GPUS, "bind", False, "legacy hook"),
        (GPUS, "void", True, "CDI"),
        (CDI, "", False, "CDI"),
    ],
)
def test_who_injected_the_gpu_is_told(place: Place, mechanism: str, sign: str, tegra: bool, injected: str) -> None:
    if tegra:
        place.path("/etc/nv_tegra_release").touch()
    assert prove(place, f"printf 'ok\\n1\\nx\\n{sign}\\n'", mechanism).injected == injected


@pytest.mark.parametrize(("family", "injected"), [("Tegra", "csv"), ("Snapdragon", "CDI")])
def test_tegra_is_known_by_its_family_too(place: Place, family: str, injected: str) -> None:
    place.path("/sys/devices/soc0").mkdir(parents=True)
    place.path("/sys/devices/soc0/family").write_text(f"{family}\n")
    assert prove(place, "printf 'ok\\n1\\nx\\nvoid\\n'").injected == injected


@pytest.mark.parametrize(
    ("said", "status", "result"),
    [
        ("cuInit 100\\n\\n\\nvoid\\n", 0, "cuInit 100"),
        ("libcuda: libcuda.so.1: no such file\\n", 0, "libcuda: libcuda.so.1: no such file"),
        ("no devices\\n0\\n\\n", 0, "no devices"),
        ("", 124, "docker run took more than 120 s"),
        ("", 125, "docker run:"),
        ("", 137, "docker run:"),
    ],
)
def test_failed_proof_is_on_record_too(place: Place, said: str, status: int, result: str) -> None:
    found = prove(place, f"printf '{said}'; exit {status}")
    assert (found.result.strip(), found.devices, found.injected) == (result.strip(), 0, "")
    assert explain(found.result)


# Docker 26.1 with runc 1.1, seen on Debian 13: both exit 127.
@pytest.mark.parametrize(
    ("said", "result"),
    [
        ('exec: "python3": executable file not found in $PATH: unknown.', "python3 is not in the image"),
        (
            "error mounting: stat /usr/lib/libcuda.so.570.1: no such file or directory: unknown.",
            "docker run: error mounting: stat /usr/lib/libcuda.so.570.1: no such file or directory: unknown.",
        ),
    ],
)
def test_missing_file_is_the_images_or_a_specifications(place: Place, said: str, result: str) -> None:
    (place.root / "error").write_text(f"docker: {said}\n")
    assert prove(place, "cat $here/error >&2; exit 127").result == result


# docker/cli, cli/command/container/run.go: the first is as Docker 26 ends its errors, the second as Docker 28 does.
@pytest.mark.parametrize(
    "ending", ["\nSee 'docker run --help'.\n", "\n\nRun 'docker run --help' for more information\n"]
)
def test_dockers_own_words_are_kept_and_its_hint_is_not(place: Place, ending: str) -> None:
    error = 'Error response from daemon: could not select device driver "" with capabilities: [[gpu]].'
    (place.root / "error").write_text(f"docker: {error}{ending}")
    found = prove(place, f'case "$*" in *gpus*) cat $here/error >&2; exit 125 ;; esac\n{GOOD}', RUNTIME, GPUS)
    assert found.result == "ok"
    [attempt] = found.others
    assert (attempt.result, attempt.injected) == (f"docker run: {error}", "")
    assert "has not been started since the toolkit came" in explain(attempt.result)


def test_bar_in_an_error_does_not_break_the_record(place: Place) -> None:
    found = prove(place, f"case \"$*\" in *gpus*) echo 'a|b' >&2; exit 125 ;; esac\n{GOOD}", RUNTIME, GPUS)
    assert [one.result for one in found.others] == ["docker run: a/b"]


def test_each_mechanism_has_a_container_of_its_own_without_network(place: Place) -> None:
    prove(place, GOOD, RUNTIME, GPUS, CDI)
    assert [sum(option in call for call in runs(place)) for option in (RUNTIME, GPUS, CDI)] == [1, 1, 1]
    assert all("--network none" in call and "--rm" in call.split() for call in runs(place))


def test_only_the_runtime_is_told_by_a_variable_which_gpus(place: Place) -> None:
    prove(place, GOOD, RUNTIME, GPUS, CDI)
    assert ["NVIDIA_VISIBLE_DEVICES=all" in call for call in runs(place)] == [True, False, False]


def test_container_of_a_failed_try_is_removed_before_the_next(place: Place) -> None:
    prove(place, f'case "$*" in *runtime*) exit 124 ;; esac\n{GOOD}', RUNTIME, GPUS)
    kinds = [call.split()[0] for call in place.calls("docker") if call.split()[0] in ("run", "rm")]
    assert kinds == ["run", "rm", "run"]


def test_without_a_named_driver_the_loaded_one_is_recorded(place: Place) -> None:
    place.path("/sys/module/nvidia").mkdir(parents=True)
    place.path("/sys/module/nvidia/version").write_text("595.58.03\n")
    assert prove(place, GOOD, driver="").driver == "595.58.03"


def test_the_program_runs_and_says_that_there_is_no_libcuda(place: Place) -> None:
    """The program itself, in this machine's Python: its last argument."""
    found = prove(place, f'for program; do :; done; {sys.executable} -c "$program"')
    assert found.result.startswith("libcuda: libcuda.so.1: ")


def test_without_the_image_an_earlier_proof_stays_on_record(place: Place) -> None:
    prove(place, GOOD)
    before = place.path(RECORD).read_text()
    place.stand_in("docker", '[ "$1" != image ] || exit 1')
    done = place.run("gpu_proof", arguments=("a", "a", "", "", RUNTIME))
    assert "nothing was proved" in done.output
    assert place.path(RECORD).read_text() == before


@pytest.mark.parametrize(("digest", "proved"), [("sha256:1", True), ("sha256:2", False)])
def test_an_image_that_came_by_another_name_is_taken_by_its_tag_if_it_is_the_same(
    place: Place, digest: str, proved: bool
) -> None:
    asked = f"""case "$*" in
  'image inspect python@sha256:1') exit 1 ;;
  *python:3) echo '["cache.lab:5001/library/python@{digest}"]' ;;
  run*) {GOOD} ;;
esac"""
    place.stand_in("docker", asked)
    done = place.run("gpu_proof", arguments=(*IMAGE, "580.95.05", RUNTIME))
    assert ("nothing was proved" not in done.output) is proved
    assert [" python:3 " in call for call in runs(place)] == [True] * proved


def test_container_that_does_not_end_does_not_hang_the_run(place: Place) -> None:
    """The client hands SIGTERM on to a container that does not hear it (seen with Docker 20.10)."""
    real = place.tools / "timeout"
    shorter = 'for word; do shift; [ "$word" != 120 ] || word=1; set -- "$@" "$word"; done'
    place.stand_in("timeout", f'{shorter}; exec {real} "$@"')
    place.stand_in("date", 'echo x >>"$here/clock"; echo $((1700000000 + 150 * $(grep -c x "$here/clock")))')
    assert prove(place, "trap '' TERM; sleep 100").result == "docker run took more than 120 s"
    assert any(call.startswith("rm -f gpu-hosts-proof") for call in place.calls("docker"))
