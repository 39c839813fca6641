"""Key material of one sandbox: the certificate authority, the controller's SSH key, the vendors' signing keys."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.sandbox.engine import run

GNUPG_PREFIX = "gpu-sandbox-gnupg-"


def make_certificates(folder: Path, names: Iterable[str]) -> None:
    """Make ca.crt and a server certificate (server.crt, server.key) for ``names``; an existing set stays."""
    if (folder / "server.crt").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    new_key = ("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    run(
        *new_key, "-x509", "-days", "3650", "-subj", "/CN=GPU sandbox certificate authority",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", "ca.key", "-out", "ca.crt",
        cwd=folder,
    )  # fmt: skip
    alternatives = ",".join(f"DNS:{name}" for name in names)
    run(
        *new_key, "-subj", "/CN=GPU sandbox vendors", "-keyout", "server.key", "-out", "server.csr",
        "-addext", f"subjectAltName={alternatives}", "-addext", "extendedKeyUsage=serverAuth",
        cwd=folder,
    )  # fmt: skip
    # Written under another name first: a run that ends here must not leave a half-made set that looks whole.
    run(
        "openssl", "x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-days", "3650",
        "-CAcreateserial", "-copy_extensions", "copyall", "-out", "server.crt.new",
        cwd=folder,
    )  # fmt: skip
    (folder / "server.crt.new").rename(folder / "server.crt")


def make_ssh_key(path: Path) -> None:
    """Make the controller's SSH key pair, ``path`` and ``path``.pub; an existing pair stays."""
    if not path.with_suffix(".pub").exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "gpu-sandbox-controller", "-f", str(path))


def remove_keyrings() -> None:
    """Remove keyrings, and end their agents, that a killed run has left."""
    for home in Path("/tmp").glob(f"{GNUPG_PREFIX}*"):
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], capture_output=True)
        shutil.rmtree(home, ignore_errors=True)


@dataclass(frozen=True)
class SigningKey:
    """A vendor's repository key: fingerprint (40 upper-case hex digits) and ASCII-armoured public key."""

    fingerprint: str
    armoured: str


class Keyring:
    """A throw-away GnuPG home. Use it as a context manager: its agent and its files go at the end."""

    def __enter__(self) -> Keyring:
        # In the system's temporary folder: the agent's socket has a path limit that a deep checkout would break.
        self._home = tempfile.TemporaryDirectory(prefix=GNUPG_PREFIX, dir="/tmp")
        self.stranger = self.make_key("A stranger <stranger@localhost>")
        return self

    def __exit__(self, *_exception: object) -> None:
        subprocess.run(["gpgconf", "--homedir", self._home.name, "--kill", "all"], capture_output=True)
        self._home.cleanup()

    def make_key(self, owner: str) -> SigningKey:
        """Make a signing key for ``owner``."""
        self._gpg("--passphrase", "", "--quick-generate-key", owner, "ed25519", "sign", "never")
        listing = self._gpg("--with-colons", "--list-keys", f"={owner}")
        fingerprint = next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:"))
        return SigningKey(fingerprint, self._gpg("--armor", "--export", fingerprint))

    def save_secret(self, key: SigningKey, path: Path) -> None:
        """Keep the secret key, for what is signed later with the same one."""
        path.parent.mkdir(exist_ok=True)
        path.write_text(self.export_secret(key))

    def load_secret(self, path: Path) -> SigningKey:
        """A key that was saved."""
        self._gpg("--import", str(path))
        listing = self._gpg("--with-colons", "--show-keys", str(path))
        fingerprint = next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:"))
        return SigningKey(fingerprint, self._gpg("--armor", "--export", fingerprint))

    def export_secret(self, key: SigningKey) -> str:
        """The ASCII-armoured secret key, for a signer that is not gpg on this machine."""
        return self._gpg("--armor", "--export-secret-keys", key.fingerprint)

    def sign(self, release: Path, key: SigningKey, *, suffix: str = "") -> None:
        """Write InRelease and Release.gpg beside ``release``; ``suffix`` is put after both names."""
        for name, way in (("InRelease", "--clear-sign"), ("Release.gpg", "--detach-sign")):
            target = str(release.with_name(name + suffix))
            self._gpg("--armor", "--local-user", key.fingerprint, "--output", target, way, str(release))

    def _gpg(self, *arguments: str) -> str:
        return run("gpg", "--homedir", self._home.name, "--batch", "--yes", "--quiet", *arguments)
