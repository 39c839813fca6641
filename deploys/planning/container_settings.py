"""What can be wished for in the setting ``containers``: one model a kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Port = Annotated[int, Field(ge=1, le=65535)]
# What the Compose specification takes for a name of a service.
Service = Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]+$")]
# Docker's own form of a size: 512m, 4g.
Size = Annotated[str, Field(pattern=r"^[1-9]\d{0,8}[kmg]$")]


class _Wish(BaseModel):
    """What every kind has: limits. Unset, each kind has its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    cpus: float | None = Field(default=None, gt=0, description="Processors that it may use: 0.8.")
    memory: Size | None = Field(default=None, description="Memory that it may use: 100m. It gets no swap besides.")


class HelloGpu(_Wish):
    """Prints the GPUs that a container sees, and fails where there is none."""

    kind: Literal["hello_gpu"]
    by: Literal["cuda", "tensorflow"] = Field(
        default="cuda", description="Who is asked: the CUDA driver, or TensorFlow, in its image for this host."
    )
    image: str | None = Field(default=None, description="Image in place of ours, with python3 in it.")
    count: int = Field(default=1, ge=1, description="GPUs that there must be at least.")


class HelloAudio(_Wish):
    """Records from a sound card and plays what it has recorded."""

    kind: Literal["hello_audio"]
    card: str | None = Field(default=None, description="ALSA's id of the card; unset: the first that does both.")
    image: str | None = Field(default=None, description="Image in place of ours, with alsa-utils in it.")


class HelloVideo(_Wish):
    """A camera's live picture as MJPEG over HTTP, from a container without privileges."""

    kind: Literal["hello_video"]
    camera: str | None = Field(
        default=None, description="Name below /dev/v4l/by-id or by-path, or a device; unset: the only camera."
    )
    access: Literal["device", "hotplug", "cdi"] = Field(
        default="device",
        description="How it gets the camera: as a device; all of /dev by rule, so that one plugged in anew is found; "
        "by a CDI name.",
    )
    address: str = Field(default="127.0.0.1", description="Address of the host that it listens on.")
    port: Port = Field(default=8090, description="Port there.")
    image: str | None = Field(default=None, description="Image in place of ours, with ustreamer and bash in it.")


class Modelbox(_Wish):
    """ModelBox' development container."""

    kind: Literal["modelbox"]
    engine: Literal["tensorrt", "tensorflow", "libtorch", "mindspore"] = Field(
        default="tensorrt", description="Inference engine: the image of it that suits the host is chosen."
    )
    image: str | None = Field(default=None, description="An image in place of the chosen one.")
    accelerator: Literal["auto", "gpu", "ascend", "none"] = Field(
        default="auto", description="auto: what the host has; none: the processor alone."
    )
    project: str = Field(
        default="/srv/modelbox", pattern=r"^/[\w./-]+$", description="Folder of the host that is /root/modelbox inside."
    )
    ssh: Literal["none", "key"] = Field(
        default="none", description="none: `docker exec`; key: an SSH server inside, for the keys alone."
    )
    authorized_keys: str | None = Field(default=None, description="File of yours with the public keys that may log in.")
    ssh_port: Port = Field(default=50022, description="Port of the SSH server.")
    editor: bool = Field(
        default=False, description="Developer mode: the editor, on 127.0.0.1 of the host; reach it through `ssh -L`."
    )
    editor_port: Port = Field(default=1104, description="Port of the editor.")
    http_port: Port = Field(default=8080, description="Port of the flows' own HTTP server.")
    address: str = Field(
        default="127.0.0.1", description="Address of the host that SSH and HTTP are published on; the editor never is."
    )
    systemd: bool = Field(default=False, description="Boot systemd inside, as the image does by itself.")
    gdb: bool = Field(default=False, description="Let gdb attach to processes and switch off randomised addresses.")


class ComposeFile(_Wish):
    """A compose file of yours, whose services are given the GPU in the way that this host has."""

    kind: Literal["compose"]
    file: str = Field(description="Your compose file. Files beside it are not brought along.")
    gpu: tuple[Service, ...] = Field(default=(), description="Services of it that get the GPU.")
    gpu_by: Literal["auto", "runtime", "gpus", "deploy", "cdi"] = Field(
        default="auto", description="How: `runtime: nvidia`, `gpus: all`, `deploy` with devices, or a CDI name."
    )
    done: tuple[Service, ...] = Field(default=(), description="Services that end by themselves, with status 0.")


KINDS: Mapping[str, type[BaseModel]] = {
    "hello_gpu": HelloGpu,
    "hello_audio": HelloAudio,
    "hello_video": HelloVideo,
    "modelbox": Modelbox,
    "compose": ComposeFile,
}
ContainerWish = Annotated[HelloGpu | HelloAudio | HelloVideo | Modelbox | ComposeFile, Field(discriminator="kind")]
