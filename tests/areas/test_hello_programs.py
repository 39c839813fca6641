"""The programs that run inside the small containers, in real shells and Pythons with stand-in hardware."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
import threading
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.areas.shell import Place

PROGRAMS = Path(__file__).parents[2] / "deploys/dockerfiles"
FRAME = str(PROGRAMS / "hello_video/frame.sh")
SOUND = str(PROGRAMS / "hello_audio/sound.sh")
JPEG, OTHER = b"\xff\xd8\xff\xe0" + bytes(100), b"<html>"


@contextmanager
def streamer(body: bytes, *, online: str) -> Iterator[str]:
    """A server that answers as ustreamer 5.4 does (src/ustreamer/http/server.c); gives its port."""

    class Snapshot(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/snapshot"
            self.send_response(200)
            self.send_header("X-UStreamer-Online", online)
            self.send_header("Content-Type", "image/jpeg")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Snapshot)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield str(server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("body", "online", "status", "said"),
    [
        (JPEG, "true", 0, ""),
        (JPEG, "false", 1, "ustreamer has no picture of the camera: see docker logs\n"),
        (OTHER, "true", 1, "what ustreamer gave is no JPEG\n"),
    ],
)
def test_health_is_a_picture_of_the_camera(body: bytes, online: str, status: int, said: str) -> None:
    with streamer(body, online=online) as port:
        done = subprocess.run(["bash", FRAME, port], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (status, said)


def test_without_a_server_there_is_no_health() -> None:
    with streamer(JPEG, online="true") as port:
        pass
    done = subprocess.run(["bash", FRAME, port], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1


def second(loudest: int, *, samples: int = 48000) -> bytes:
    """A tone as arecord writes it: 44 bytes of header, then 16-bit samples."""
    tone = array("h", (round(loudest * math.sin(n / 10)) for n in range(samples)))
    return bytes(44) + tone.tobytes()


def play(place: Place, sound: bytes, *, records: int = 0, plays: int = 0) -> tuple[int, str]:
    """Run the program with an arecord and an aplay that do this; exit status, and all that it says."""
    place.stand_in("arecord", f'for file; do :; done; cat {place.root}/sound >"$file"; exit {records}')
    place.stand_in("aplay", f"exit {plays}")
    (place.root / "sound").write_bytes(sound)
    text = Path(SOUND).read_text().replace("/tmp/second.wav", f"{place.root}/second.wav")
    path = f"{place.bin}:/usr/bin:/bin"
    command = ["sh", "-c", text, "sound", "PCH"]
    done = subprocess.run(command, env={"PATH": path}, capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout + done.stderr


def test_a_card_that_does_both_is_told_with_its_loudness(place: Place) -> None:
    status, said = play(place, second(3000))
    assert status == 0
    assert "card PCH recorded a second: 96044 bytes, loudest sample 3000 of 32768\ncard PCH played it\n" in said
    assert [call.split()[:3] for call in place.calls("aplay")] == [["-q", "-D", "plughw:CARD=PCH"]]


def test_silence_is_told_and_is_no_fault(place: Place) -> None:
    status, said = play(place, second(0))
    assert status == 0
    assert "loudest sample 0 of 32768\nall of it is silence" in said


@pytest.mark.parametrize(
    ("sound", "records", "plays", "said"),
    [
        (b"", 1, 0, "card PCH records nothing"),
        (second(3000, samples=100), 0, 0, "card PCH gave 244 bytes, which is less than a second"),
        (second(3000), 0, 1, "card PCH records, and plays nothing"),
    ],
)
def test_a_card_that_does_not_is_a_fault(place: Place, sound: bytes, records: int, plays: int, said: str) -> None:
    status, text = play(place, sound, records=records, plays=plays)
    assert status == 1
    assert said in text


def run_tensorflow(folder: Path, wanted: int, devices: str) -> tuple[int, str]:
    """Run the program with a TensorFlow that lists these devices: names, blank-separated."""
    (folder / "tensorflow.py").write_text(
        "from types import SimpleNamespace as Of\n"
        "__version__ = '2.7.0'\n"
        f"found = [Of(device_type='GPU', name=name) for name in {devices.split()!r}]\n"
        "config = Of(list_physical_devices=lambda kind: found if kind == 'GPU' else [])\n"
    )
    program = str(PROGRAMS / "hello_gpu/tensorflow_gpus.py")
    command = [sys.executable, program, str(wanted)]
    done = subprocess.run(command, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout


def test_tensorflows_list_is_judged(tmp_path: Path) -> None:
    """The documents print the list, and end well where it is empty."""
    one = "/physical_device:GPU:0"
    assert run_tensorflow(tmp_path, 1, one) == (0, f"TensorFlow 2.7.0\nGPU {one}\n1 GPUs seen, 1 wanted\n")
    assert run_tensorflow(tmp_path, 2, one)[0] == 1
    assert run_tensorflow(tmp_path, 1, "") == (1, "TensorFlow 2.7.0\n0 GPUs seen, 1 wanted\n")


needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="the stand-in of libcuda is built with gcc")


def run_cuda(folder: Path, answer: int | None, wanted: int = 1) -> subprocess.CompletedProcess[str]:
    """Run the program with a libcuda whose cuInit gives ``answer``, or with none."""
    if answer is not None:
        source = Path(__file__).parents[1] / "sandbox/files/packages/libcuda.c"
        library = folder / "libcuda.so.1"
        flags = ("-shared", "-fPIC", "-nostdlib", '-DNAME="GPU of a test"', "-DMAJOR=8", "-DMINOR=7")
        subprocess.run(["gcc", *flags, f"-DRESULT={answer}", "-o", str(library), str(source)], check=True)
    command = [sys.executable, str(PROGRAMS / "hello_gpu/gpus.py"), str(wanted)]
    environment = {"LD_LIBRARY_PATH": str(folder)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)


@needs_gcc
def test_cudas_gpus_are_printed_and_counted(tmp_path: Path) -> None:
    done = run_cuda(tmp_path, 0)
    assert done.returncode == 0
    assert done.stdout == "GPU 0: GPU of a test, 8.0 GiB, compute capability 8.7\n1 GPUs seen, 1 wanted\n"
    assert run_cuda(tmp_path, 0, wanted=2).returncode == 1


@needs_gcc
def test_cudas_refusals_are_told(tmp_path: Path) -> None:
    """100 is CUDA_ERROR_NO_DEVICE (cuda.h)."""
    without = run_cuda(tmp_path, None)
    assert without.returncode == 1
    assert without.stderr.startswith("libcuda: ")
    assert "nothing gave this container the GPU" in without.stderr
    broken = run_cuda(tmp_path, 100)
    assert broken.returncode == 1
    assert broken.stderr.startswith("cuInit 100: ")
