"""Every setting, declared once: name, type, default and one sentence. Read from a host's data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from deploys.planning.container_settings import KINDS, ContainerWish
from deploys.planning.daemon_config import redacted


def _number_as_text(value: object) -> object:
    """Inventories may say 580 or "580"."""
    return str(value) if type(value) is int else value


Fingerprint = Field(
    default=None,
    pattern=r"^([0-9A-Fa-f]{40}|[0-9a-f]{64})$",
    description="Fingerprint of the key that signs this repository, where you mirror it under your own.",
)


def _vendor_address(vendors: str) -> Any:
    return Field(
        default=None,
        pattern=r"^https?://[^\s@?#]+$",
        description=f"Address of your mirror of {vendors}, with the same folders below it. Registries: images_mirrors.",
    )


class Credential(BaseModel):
    """Who we are at a registry. The password itself is never in the inventory."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    username: str
    password_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    password_file: str | None = None

    @model_validator(mode="after")
    def _has_one_source(self) -> Credential:
        if (self.password_env is None) == (self.password_file is None):
            raise ValueError("one of password_env and password_file says where the password is")
        return self


class Settings(BaseModel):
    """What the owner of a host wishes. Inventory data of other names is left to whoever set it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    reboot: Literal["when-idle", "when-needed", "never"] | None = Field(
        default=None,
        description="Reboot where the driver needs it: when-idle not while containers or GPU processes run, "
        "when-needed even then. Unset: say that one is due, and fail. never: say so.",
    )
    nvidia_driver: Literal["present", "absent"] = Field(
        default="present", description="absent removes the driver's packages, each by its name."
    )
    nvidia_driver_branch: Annotated[str, BeforeValidator(_number_as_text)] = Field(
        default="auto",
        pattern=r"^(auto|lts|production|\d{3}(\.\d{1,3}){0,2})$",
        description="auto (lts, where it drives the GPU), lts, production, a branch (580) or a version (580.95.05). "
        "An installed driver is changed to it.",
    )
    nvidia_driver_modules: Literal["auto", "open", "proprietary"] = Field(
        default="auto", description="Kernel modules: auto takes open ones wherever the GPU has a GSP."
    )
    nvidia_driver_source: Literal["auto", "distribution", "nvidia"] = Field(
        default="auto",
        description="Where a driver comes from: the distribution's archive or NVIDIA's repository. auto: that of the "
        "installed one, else Ubuntu's archive where it has the branch, else NVIDIA's.",
    )
    nvidia_driver_usage: Literal["auto", "compute", "desktop"] = Field(
        default="auto",
        description="desktop adds the display driver; auto does on machines with a display manager or a screen.",
    )
    nvidia_driver_runfile: Literal["refuse", "uninstall"] = Field(
        default="refuse", description="What to do with a driver that NVIDIA's .run installer has left on the host."
    )
    nvidia_driver_reload: bool = Field(
        default=False, description="Load a changed driver's modules without a reboot, where nothing uses the old ones."
    )
    nvidia_module_key_password_env: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="With Secure Boot: environment variable of yours with a password of 8 to 16 characters, under "
        "which DKMS' key is staged. It is asked for once, at the host's console.",
    )
    docker_repository: str | None = _vendor_address("https://download.docker.com")
    nvidia_driver_repository: str | None = _vendor_address("https://developer.download.nvidia.com")
    nvidia_toolkit_repository: str | None = _vendor_address("https://nvidia.github.io")
    nvidia_driver_key_fingerprint: str | None = Fingerprint
    nvidia_toolkit_key_fingerprint: str | None = Fingerprint
    docker_key_fingerprint: str | None = Fingerprint
    nvidia_toolkit: Literal["present", "absent"] = Field(
        default="present",
        description="absent takes the nvidia runtime out of daemon.json, then removes the toolkit's packages.",
    )
    nvidia_toolkit_version: str = Field(
        default="auto",
        pattern=r"^(auto|\d+\.\d+\.\d+)$",
        description="Version of all the toolkit's packages (1.19.1). auto: the newest; an installed one is kept unless "
        "it has known security holes.",
    )
    nvidia_toolkit_jetson: Literal["keep", "upgrade"] = Field(
        default="keep", description="What to do with the toolkit of a JetPack that has known security holes."
    )
    docker_source: Literal["auto", "docker", "distribution"] = Field(
        default="auto",
        description="Where a missing Docker comes from; auto is Docker's repository. An installed one is kept.",
    )
    docker_version: Annotated[str, BeforeValidator(_number_as_text)] = Field(
        default="auto",
        pattern=r"^(auto|(>=)?\d{1,3}(\.\d{1,3}){0,2})$",
        description="A version (28 or 28.5.2) or the oldest that will do (>=28.3). auto: the newest, where there is "
        "none. An installed Docker of the same source is changed to it, which restarts it.",
    )
    docker_restart: Literal["when-idle", "when-needed", "never"] = Field(
        default="when-idle",
        description="Restart Docker where a change needs it: when-idle only if no container runs or live-restore keeps "
        "them, when-needed even then.",
    )
    docker_users: tuple[str, ...] = Field(
        default=(), description="Users to be put into the group docker. Members of it are as good as root."
    )
    docker_live_restore: bool | None = Field(
        default=None, description="Containers go on while the daemon is away; switched on before a restart."
    )
    docker_log_driver: str | None = Field(
        default=None, description="Log driver of new containers: local, json-file, journald and others."
    )
    docker_log_opts: dict[str, str] = Field(
        default={}, description='Its options, as texts: {"max-size": "10m", "max-file": "3"}.'
    )
    docker_default_address_pools: tuple[dict[str, str | int], ...] = Field(
        default=(), description='Where new networks get their addresses: [{"base": "172.30.0.0/16", "size": 24}].'
    )
    docker_registry_mirrors: tuple[str, ...] = Field(
        default=(), description="Mirrors of Docker Hub, added to those that are there."
    )
    docker_insecure_registries: tuple[str, ...] = Field(
        default=(), description="Registries without TLS, added to those that are there."
    )
    docker_data_root: str | None = Field(
        default=None, description="Where Docker keeps images and containers; only while it has none."
    )
    docker_cgroup_driver: Literal["systemd", "cgroupfs"] | None = Field(
        default=None, description="The daemon's cgroup driver."
    )
    docker_default_runtime: str | None = Field(
        default=None, description="The runtime of containers that name none: nvidia, runc."
    )
    docker_features: dict[str, bool] = Field(
        default={}, description='Features of the daemon, each by its name: {"cdi": True}. Others stay.'
    )
    docker_http_proxy: str | None = Field(default=None, description="The daemon's proxy for http, from Docker 23 on.")
    docker_https_proxy: str | None = Field(default=None, description="The same for https.")
    docker_no_proxy: str | None = Field(default=None, description="Hosts that it reaches without, with commas between.")
    docker_daemon_json: dict[str, Any] = Field(
        default={}, description="Any other keys of daemon.json, merged into what is there."
    )
    sshd_x11: bool = Field(
        default=True, description="Set the five sshd options that X11 forwarding needs. False takes our lines away."
    )
    sshd_address_family: Literal["inet"] | None = Field(
        default=None,
        description="inet: sshd leaves IPv6 alone, without which X11 forwarding fails where lo has no ::1.",
    )
    images: tuple[str, ...] = Field(
        default=(),
        description="Images to have: references, best with a digest, or what is wanted (l4t-pytorch, cuda 12.4 base, "
        "modelbox tensorrt develop), for which the right one for the host is chosen.",
    )
    images_catalogue: str | None = Field(
        default=None, description="File of yours with further image families, in the form of catalogue/images.toml."
    )
    images_preflight: bool = Field(
        default=True, description="Ask the registries, from your machine, before anything is pulled."
    )
    images_credentials: dict[str, Credential] = Field(
        default={},
        description="Who you are at registries, by password_env, or password_file, readable by you alone (0600): "
        '{"nvcr.io": {"username": "$oauthtoken", "password_env": "NGC_API_KEY"}}.',
    )
    images_mirrors: dict[str, str] = Field(
        default={},
        description='Where the images of a registry are pulled from: {"nvcr.io": "https://cache.lab:5001"}. A path is '
        "a project's name there, as a Harbor has them.",
    )
    images_mirror_ca: str | None = Field(
        default=None,
        description="File of yours with the certificate of the authority that the mirrors' are signed by, where hosts "
        "do not trust it already.",
    )
    images_wave: int = Field(
        default=8, ge=1, description="Hosts that pull an image through a mirror at a time, after the first one has."
    )
    images_archives: tuple[str, ...] = Field(
        default=(), description="Files of yours made by `docker save`, loaded on hosts that lack their images."
    )
    images_prune: bool = Field(
        default=False, description="Remove other images of the same repositories that no container uses."
    )
    registry_cache_upstreams: dict[str, int] = Field(
        default={}, description='Make this host a cache of these registries, each on a port: {"nvcr.io": 5001}.'
    )
    registry_cache_address: str | None = Field(
        default=None, description="The host's address on the site's network, which the cache listens on."
    )
    registry_cache_name: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$",
        description="A name by which the fleet reaches the cache besides: its certificate is for that too.",
    )
    registry_cache_ca_file: str | None = Field(
        default=None,
        description="Where on your machine the certificate of the cache's authority is put; else it is "
        "registry-cache-HOST.crt in the current folder.",
    )
    registry_cache_folder: str = Field(
        default="/var/lib/gpu-hosts-cache",
        pattern=r"^/[\w./-]+$",
        description="Where on the host the cache keeps images.",
    )
    registry_cache_image: str | None = Field(
        default=None, description="The distribution registry's image, by digest, in place of the catalogue's."
    )
    registry_cache_credentials: dict[str, Credential] = Field(
        default={}, description="Who the cache is at upstreams with private images; such a cache asks for a password."
    )
    registry_cache_clients: dict[str, Credential] = Field(
        default={}, description="For each upstream with credentials: user and password that the cache asks for."
    )
    camera_tools: bool = Field(default=True, description="Install v4l-utils on hosts that have a camera.")
    camera_users: tuple[str, ...] = Field(
        default=(), description="Users to be put into the group video (on a Jetson render, too), for cameras over SSH."
    )
    camera_viewer: bool = Field(
        default=False, description="Install a program that shows a camera's live picture over `ssh -Y`."
    )
    camera_sheet: str = Field(
        default="cameras.html",
        description="File of yours that deploys/cameras.py writes: a page with one picture of every camera.",
    )
    containers: dict[Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9_-]{0,39}[a-z0-9])?$")], ContainerWish] = Field(
        default={},
        description='Containers to have, by names of yours: {"front": {"kind": "hello_video"}}. docs/containers.md '
        "lists the kinds and their options.",
    )
    gpu_proof_image: str | None = Field(
        default=None,
        pattern=r"^[^@]+:[^/@]+$|@sha256:[0-9a-f]{64}$",
        description="The image in which CUDA is initialised as proof, with python3 in it; best by digest.",
    )
    sudo_password_env: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable of yours that holds the sudo password.",
    )
    sudo_password_file: str | None = Field(
        default=None, description="File of yours, readable by you alone (0600), that holds the sudo password."
    )

    @field_validator("images_mirrors", "images_credentials")
    @classmethod
    def _name_registries(cls, value: dict[str, Any]) -> dict[str, Any]:
        for registry in value:
            if registry in ("index.docker.io", "registry-1.docker.io"):
                raise ValueError("Docker Hub's name in references is docker.io")
            if not re.fullmatch(r"[a-z0-9.-]+\.[a-z0-9-]+(:\d+)?|[a-z0-9.-]+:\d+|localhost", registry):
                raise ValueError("registries are named as in references: docker.io, nvcr.io, registry.lab:5000")
        return value

    @field_validator("images_mirrors")
    @classmethod
    def _are_mirrors(cls, value: dict[str, str]) -> dict[str, str]:
        for address in value.values():
            if "@" in address:
                raise ValueError("an address has no user in it; images_credentials says who we are at a mirror")
            if not address.startswith("https://"):
                raise ValueError("mirrors are asked by https:// alone: without TLS anybody between could change a tag")
            if not re.fullmatch(r"https://[a-z0-9.-]+(:\d+)?(/[a-z0-9._-]+)*/?", address):
                raise ValueError("a mirror is https://HOST[:PORT][/PROJECT], in lower case")
        return value


PREFIXES = (
    "nvidia_",
    "docker_",
    "sshd_",
    "gpu_",
    "jetson_",
    "images_",
    "image_",
    "sudo_password",
    "reboot_",
    "registry_",
    "camera_",
    "cameras_",
    "container_",
    "containers_",
)


@dataclass(frozen=True)
class Problem:
    """A setting that cannot be used, and why."""

    setting: str
    reason: str

    def __str__(self) -> str:
        return f"{self.setting}: {self.reason}"


def read_settings(data: Mapping[str, object]) -> Settings | tuple[Problem, ...]:
    """Read the settings out of one host's data.

    Returns them, or every problem there is: wrong values, and names that only look like settings.
    """
    known = {name: _with_tuples(value) for name, value in data.items() if name in Settings.model_fields}
    unknown = [_unknown_name(name) for name in data if _looks_like_setting(name)]
    try:
        settings = Settings.model_validate(known)
    except ValidationError as error:
        return (*(_invalid_value(known, dict(detail)) for detail in error.errors()), *unknown)
    return tuple(unknown) or settings


def _with_tuples(value: object) -> object:
    """Lists as tuples, inside dictionaries too: people write either."""
    if isinstance(value, list):
        return tuple(value)
    return {key: _with_tuples(one) for key, one in value.items()} if isinstance(value, dict) else value


def _looks_like_setting(name: str) -> bool:
    if name in Settings.model_fields:
        return False
    return name.startswith(PREFIXES) or bool(get_close_matches(name, ("images", "reboot"), cutoff=0.8))


def _unknown_name(name: str) -> Problem:
    close = get_close_matches(name, Settings.model_fields, n=1)
    hint = f"did you mean {close[0]}?" if close else "the README lists the settings."
    return Problem(name, f"there is no such setting; {hint}")


def _invalid_value(known: Mapping[str, object], detail: Mapping[str, object]) -> Problem:
    location = detail["loc"]
    assert isinstance(location, tuple)
    name = str(location[0])
    if name == "containers" and len(location) > 1:
        return _invalid_container(location[1:], detail)
    # Somebody may have written the password itself where its place belongs, and addresses may have one in them.
    is_secret = name.startswith("sudo_password") or "proxy" in name or name.endswith(("_credentials", "_clients"))
    shown = "" if is_secret else f"; it is {redacted(known.get(name))!r}"
    return Problem(name, f"{detail['msg']}{shown}")


def _invalid_container(location: tuple[object, ...], detail: Mapping[str, object]) -> Problem:
    """A wish has many options, and there are many wishes: the one that is wrong is named."""
    name, *inner = location
    kind, *options = inner or [""]  # pydantic names the kind, by which it chose the model
    place = ".".join(map(str, ("containers", name, *options)))
    if detail["type"] != "extra_forbidden":
        return Problem(place, f"{detail['msg']}; it is {redacted(detail['input'])!r}")
    close = get_close_matches(str(options[-1]), KINDS[str(kind)].model_fields, n=1)
    hint = f"did you mean {close[0]}?" if close else "docs/containers.md lists them."
    return Problem(place, f"{kind} has no such option; {hint}")
