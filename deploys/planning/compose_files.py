"""Compose files of the owner's: brought to the host as they are, with a second file that gives services the GPU."""

from __future__ import annotations

import re

from deploys.planning.compose_text import compose_text
from deploys.planning.container_settings import ComposeFile
from deploys.planning.gpu_access import GpuAccess
from deploys.planning.image_plan import LocalFiles
from deploys.planning.images import is_reference
from deploys.planning.records import Area, Note, Project, Refusal

IMAGE = re.compile(r"^\s+image:\s+[\"']?([^\s\"']+)[\"']?\s*(?:#.*)?$", re.MULTILINE)
BUILD = re.compile(r"^\s+build:", re.MULTILINE)
OWNERS = "owner.yaml"
NOTED = "services"  # beside it: a line for each service that it had when it came up
PATIENCE = 300  # seconds: a file of anybody's may have a database in it, or a model to load


def plan_compose_file(
    name: str, wish: ComposeFile, files: LocalFiles, *, gpu: GpuAccess | Refusal
) -> Project | Refusal:
    """The owner's file and, before it, ours with the GPU, so that what the owner writes of a service counts.

    What services there are is known on the host alone, where Docker Compose reads the file, and is noted beside it.
    ``services`` names those that end by themselves; all others must run.
    """
    if wish.cpus or wish.memory:
        return _refuse("cpus and memory are not for compose files", name, "write the limits into the file's services")
    text = dict(files.texts).get(wish.file, "")
    if not text.strip():
        return _refuse("the compose file is empty", wish.file, "write services into it")
    contents = [(OWNERS, text)]
    notes: tuple[Note, ...] = ()
    if wish.gpu:
        if isinstance(gpu, Refusal):
            return gpu
        services = {service: gpu.add_to({}) for service in wish.gpu}
        contents.insert(0, ("compose.yaml", compose_text({"services": services})))
        notes = (Note(f"{name}: gives {', '.join(wish.gpu)} the GPU by {gpu.by}", f"gpu_by is {wish.gpu_by}"),)
    return Project(
        name,
        files=tuple(contents),
        services=tuple((service, "done") for service in wish.done),
        images=_read_images(text),
        patience=PATIENCE,
        notes=notes,
    )


def _refuse(brief: str, seen: str, remedy: str) -> Refusal:
    return Refusal(Area.CONTAINERS, brief, seen, remedy)


def _read_images(text: str) -> tuple[str, ...]:
    """The images that are to be pulled, as far as lines name them without variables; none where one may be built."""
    if BUILD.search(text):
        return ()
    return tuple(dict.fromkeys(image for image in IMAGE.findall(text) if is_reference(image)))
