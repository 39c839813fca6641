"""sshd's transaction on a made-up host: a stand-in sshd, and waits that end when the test says so."""

import hashlib
from pathlib import Path

from tests.areas.shell import Finished, Place, wait_until

TEXT = "# ours\nX11Forwarding yes\nPrintMotd no\n"
EXPECTED = ("x11forwarding=yes", "printmotd=no")
NO_SOCKET = '[ "$2 $3" != "is-active ssh.socket" ]'  # everything is done as asked, and ssh.socket is off
IN_FORCE = 'case "$1" in -T) printf "port 22\\nx11forwarding yes\\nprintmotd no\\n" ;; esac'
# Somebody's main file: bytes that are no UTF-8, other line ends, a Match block, and no end of the last line.
OTHERS = b"Port 22\r\n# f\xfcr uns\nMatch User bob\n  X11Forwarding no"
BLOCK = b"# BEGIN pyinfra-gpu-hosts\n" + TEXT.encode() + b"# END pyinfra-gpu-hosts\n"


def state(place: Place) -> Path:
    """The folder of the change's mark and of the earlier drop-in's copy."""
    return place.path("/var/lib/gpu-hosts/sshd")


def drop_in(place: Place) -> Path:
    """Our drop-in."""
    return place.root / "sshd_config.d" / "00-ours.conf"


def put(place: Place, text: str | None) -> None:
    """The drop-in with that text, or none."""
    drop_in(place).unlink(missing_ok=True)
    if text is not None:
        drop_in(place).write_text(text)


def content(place: Place) -> str | None:
    """The drop-in's text, or None where there is none."""
    return drop_in(place).read_text() if drop_in(place).exists() else None


def is_pending(place: Place) -> bool:
    """Whether the change waits for its confirmation."""
    return (state(place) / "pending").exists()


def write(place: Place, token: str = "first", *, seconds: int = 60) -> Finished:
    """Write the drop-in, to be confirmed by a token."""
    return place.run("sshd_x11", arguments=(str(drop_in(place)), "", str(seconds), token, *EXPECTED), payload=TEXT)


def main_file(place: Place) -> Path:
    """sshd's main file."""
    return place.root / "sshd_config"


def write_block(place: Place, text: str = TEXT, *, read: bytes | None = None, token: str = "first") -> Finished:
    """Write our block into the main file, which was ``read`` before; "" for the lines takes the block away."""
    digest = hashlib.sha256(main_file(place).read_bytes() if read is None else read).hexdigest()
    arguments = (str(main_file(place)), digest, "60", token, *(EXPECTED if text else ()))
    return place.run("sshd_x11", arguments=arguments, payload=text)


def confirm(place: Place, token: str = "first") -> Finished:
    """Confirm over a new login."""
    return place.run("sshd_confirm", arguments=(token,))


def end_patience(place: Place, seconds: int = 60) -> None:
    """Let the wait for a confirming login end, and what follows it."""
    (place.root / f"after-{seconds}").touch()
    wait_until((place.root / f"over-{seconds}").exists)
