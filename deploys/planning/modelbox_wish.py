"""What people wish of a ModelBox container, as far as it can be judged without looking at the host."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import PurePosixPath

from deploys.planning.compose_ports import refuse_address
from deploys.planning.container_settings import Modelbox
from deploys.planning.image_plan import LocalFiles
from deploys.planning.records import Area, Refusal

# Folders that are not a project: who writes there as root, as the container does, rules the host.
SYSTEM = ("bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "proc", "root", "run", "sbin", "sys", "usr", "var")
# A line of authorized_keys (sshd(8)): options, the key's type, the key in base64.
KEY = re.compile(r"(\S.*\s)?(ssh-|ecdsa-sha2-|sk-ssh-|sk-ecdsa-)\S+\s+AAAA[0-9A-Za-z+/]+=*(\s.*)?")


def refuse_wish(wish: Modelbox) -> Refusal | None:
    """Why the container cannot be had on any host."""
    return _refuse_project(wish.project) or refuse_address(wish.address) or _refuse_ports(wish)


def read_keys(wish: Modelbox, files: LocalFiles) -> str | Refusal | None:
    """The public keys that may log in, as authorized_keys has them; None where there is no SSH server."""
    if wish.ssh == "none":
        return None
    remedy = "name a file with public keys in authorized_keys: ~/.ssh/id_ed25519.pub"
    path = wish.authorized_keys
    text = dict(files.texts).get(path) if path else None
    if path is None or text is None:
        return _refuse('ssh = "key" needs public keys', f"authorized_keys is {path or 'not set'}", remedy)
    if "PRIVATE KEY" in text:
        return _refuse("that is a private key, which belongs to its owner alone", path, remedy)
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    strange = [number for number, line in enumerate(lines, 1) if not KEY.fullmatch(line)]
    if strange or not lines:
        seen = f"{path}: key {strange[0]} of {len(lines)} is none" if strange else f"{path} has none"
        return _refuse("there is no public key to log in by", seen, remedy)
    return "".join(f"{line}\n" for line in lines)


def _refuse_project(path: str) -> Refusal | None:
    parts = PurePosixPath(path).parts[1:]
    if ".." in parts:
        seen = "it has .. in it"
    elif not parts or parts == ("home",) or (parts[0] == "home" and len(parts) < 3):
        seen = "the container's root could write to everybody's ~/.ssh" if parts else "that is the whole host"
    elif parts[0] in SYSTEM:
        seen = f"/{parts[0]} is the system's"
    else:
        return None
    return _refuse(f"{path} is not a project's folder", seen, "set project to a folder of its own, as /srv/modelbox is")


def _refuse_ports(wish: Modelbox) -> Refusal | None:
    ports = {
        **({"ssh_port": wish.ssh_port} if wish.ssh == "key" else {}),
        **({"editor_port": wish.editor_port} if wish.editor else {}),
        "http_port": wish.http_port,
    }
    [(port, times)] = Counter(ports.values()).most_common(1)
    if times == 1:
        return None
    seen = " and ".join(name for name, number in ports.items() if number == port) + f" are {port}"
    return _refuse("each port can be published once", seen, "give each a port of its own")


def _refuse(brief: str, seen: str, remedy: str) -> Refusal:
    return Refusal(Area.CONTAINERS, brief, seen, remedy)
