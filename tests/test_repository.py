"""The repository's own rules: imports, sizes, docstrings, dated facts of the world, foreign host names.

Each test lists what breaks its rule as ``file:line what``, so that a failure reads as a to-do list. The tree
is walked without git, because nothing here needs a clone.
"""

import ast
import datetime
import functools
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = ("facts", "deploys", "inventories")
BUILT_FOLDERS = frozenset({"__pycache__", "build", "dist"})
# What users write for their own machines lies in the checkout too (see .gitignore), and is theirs.
USERS_OWN = frozenset({"inventory.py", "group_data"})

MAX_FUNCTION_LINES = 60
MAX_MODULE_LINES = 400
MAX_README_LINES = 200

# The collection sets up these vendors' repositories, so it names them; a developer's machine may use them.
VENDOR_HOSTS = frozenset(
    {"download.docker.com", "nvidia.github.io", "developer.download.nvidia.com", "repo.download.nvidia.com"}
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Source(NamedTuple):
    """A Python file of the repository: its path below the root, its text and its syntax tree."""

    path: str
    text: str
    tree: ast.Module


class ImportRule(NamedTuple):
    """Modules whose dotted name starts with one of ``inside`` import nothing below ``forbidden``.

    ``but`` lists the modules that may.
    """

    inside: tuple[str, ...]
    forbidden: tuple[str, ...]
    but: tuple[str, ...] = ()


IMPORT_RULES = {
    "facts know nothing of deploys": ImportRule(("facts",), ("deploys",)),
    "only the fact classes meet pyinfra": ImportRule(("facts",), ("pyinfra",), but=("facts.host",)),
    "planning is pure": ImportRule(
        ("deploys.planning",),
        (
            "pyinfra",
            "requests",
            "urllib.request",
            "socket",
            "subprocess",
            "time",
            "deploys.areas",
            "deploys.registry",
        ),
    ),
    "the product does not know its tests": ImportRule(PRODUCT, ("tests",), but=("inventories.sandbox",)),
}


def is_skipped(name: str) -> bool:
    """Whether a folder is made by tools; of the dotted ones only the CI's is ours."""
    return name in BUILT_FOLDERS or name.endswith(".egg-info") or (name.startswith(".") and name != ".ci")


@functools.cache
def repository_files() -> tuple[Path, ...]:
    """Every file that belongs to the repository, as a commit would take it."""
    found = []
    for folder, folders, names in os.walk(ROOT):
        at_top = Path(folder) == ROOT
        own = USERS_OWN if at_top else frozenset()
        folders[:] = sorted(name for name in folders if name not in own and not is_skipped(name))
        found += [Path(folder, name) for name in sorted(names) if name not in own and name != ".git"]
    return tuple(path for path in found if path.is_file() and path.suffix not in {".pyc", ".log"})


@functools.cache
def sources() -> tuple[Source, ...]:
    """Every Python file of the repository, parsed."""
    found = []
    for path in repository_files():
        relative = path.relative_to(ROOT)
        if path.suffix == ".py" and relative.parts[:2] != ("tests", "machines"):
            text = path.read_text(encoding="utf-8")
            found.append(Source(str(relative), text, ast.parse(text, str(relative))))
    return tuple(found)


def product_sources() -> list[Source]:
    """The Python files that users run: all but the tests."""
    return [source for source in sources() if source.path.split("/")[0] in PRODUCT]


def module_name(path: str) -> str:
    """``deploys/planning/__init__.py`` -> ``deploys.planning``."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imported_modules(source: Source) -> Iterator[tuple[int, str]]:
    """Line and full name of each import, wherever it stands: ``from a import b`` gives ``a.b``."""
    package = module_name(source.path).split(".")
    if not source.path.endswith("/__init__.py"):
        package = package[:-1]
    for node in nodes(source):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{prefix}.{alias.name}") for alias in node.names)


def is_below(name: str, roots: tuple[str, ...]) -> bool:
    """Whether a dotted name is one of ``roots`` or lies inside one."""
    return any(name == root or name.startswith(f"{root}.") for root in roots)


@functools.cache
def nodes(source: Source) -> tuple[ast.AST, ...]:
    """Every node of its tree: several rules want them."""
    return tuple(ast.walk(source.tree))


def functions(source: Source) -> list[Function]:
    """Every function and method, nested ones too."""
    return [node for node in nodes(source) if isinstance(node, Function)]


def public_names(source: Source) -> Iterator[tuple[int, str, bool]]:
    """Line, name and "has a docstring" of the module, its public classes, functions and methods."""
    yield 1, "module", bool(ast.get_docstring(source.tree))
    bodies: list[ast.Module | ast.ClassDef] = [source.tree]
    while bodies:
        for node in bodies.pop().body:
            if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_"):
                yield node.lineno, node.name, bool(ast.get_docstring(node))
                if isinstance(node, ast.ClassDef):
                    bodies.append(node)


def untyped_parts(function: Function) -> list[str]:
    """The arguments without an annotation (``self`` and ``cls`` need none), and ``return`` likewise."""
    spec = function.args
    starred = [arg for arg in (spec.vararg, spec.kwarg) if arg]
    every = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, *starred]
    untyped = [arg.arg for arg in every if arg.annotation is None and arg.arg not in {"self", "cls"}]
    return untyped if function.returns else [*untyped, "return"]


def catalogue_rows(name: str, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows below a TOML value: each item of an array of tables, each table that holds more than tables.

    What lies inside a row belongs to it. Top-level keys outside any table are no rows.
    """
    if isinstance(value, dict):
        if name and any(not isinstance(item, dict) for item in value.values() if not is_table_array(item)):
            yield name, value
            return
        for key, item in value.items():
            yield from catalogue_rows(f"{name}.{key}".lstrip("."), item)
    elif is_table_array(value):
        yield from ((f"{name}[{index}]", row) for index, row in enumerate(value))


def is_table_array(value: Any) -> bool:
    """Whether a TOML value is an array of tables, ``[[name]]``."""
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def is_dated(row: dict[str, Any]) -> bool:
    """Whether a catalogue row names its source and the day that was checked (a TOML date or ISO text)."""
    try:
        datetime.date.fromisoformat(str(row["checked"]))
    except (KeyError, ValueError):
        return False
    return bool(row.get("source"))


def outputs_of(*commands: tuple[str, ...]) -> list[str]:
    """What commands print that run side by side; nothing of those that this machine does not have."""
    quiet = subprocess.DEVNULL
    started = [
        subprocess.Popen(command, stdin=quiet, stdout=subprocess.PIPE, stderr=quiet, text=True)
        for command in commands
        if shutil.which(command[0])
    ]
    return [process.communicate()[0] for process in started]


def configured_registries() -> str:
    """This machine's apt, pip and npm configuration as text: no comments; pip's and npm's defaults too."""
    apt = [
        Path("/etc/apt/sources.list"),
        *Path("/etc/apt/sources.list.d").glob("*"),
        *Path("/etc/apt").glob("**/*.conf"),
    ]
    lines = [line for path in apt if path.is_file() for line in path.read_text(errors="replace").splitlines()]
    return "\n".join(
        [
            *(line for line in lines if not line.lstrip().startswith(("#", "//"))),
            *outputs_of(
                (sys.executable, "-m", "pip", "download", "--help"),
                (sys.executable, "-m", "pip", "config", "list"),
                ("npm", "config", "get", "registry"),
            ),
        ]
    )


def registry_hosts(configuration: str) -> set[str]:
    """The host names in the URLs of a configuration text; names without a dot say too little to look for."""
    hosts = {host.lower() for host in re.findall(r"https?://(?:[^/\s'\"@]*@)?([^/\s'\":)]+)", configuration)}
    return {host for host in hosts if "." in host} - VENDOR_HOSTS


def lines_with(pattern: str, *, below: Path = ROOT) -> list[str]:
    """``file:line match`` for each match of a regular expression in the lower-cased files and their names."""
    found = []
    for path in repository_files():
        if not path.is_relative_to(below):
            continue
        relative = path.relative_to(ROOT)
        lines = [str(relative), *path.read_text(encoding="utf-8", errors="replace").splitlines()]
        for number, line in enumerate(lines):
            found += [f"{relative}:{number} {match}" for match in re.findall(pattern, line.lower())]
    return found


def assert_none(broken: list[str]) -> None:
    """Fail with one line for each breach of a rule."""
    assert not broken, "\n".join(["", *broken])


def test_the_tree_is_found() -> None:
    """Without files every other test here would pass on nothing."""
    paths = {source.path for source in sources()}
    assert {"facts/model.py", "tests/test_repository.py"} <= paths
    assert ROOT / "Makefile" in repository_files()


@pytest.mark.parametrize("title", IMPORT_RULES)
def test_imports_run_one_way(title: str) -> None:
    rule = IMPORT_RULES[title]
    broken = [
        f"{source.path}:{line} imports {imported}"
        for source in sources()
        if is_below(module_name(source.path), rule.inside) and not is_below(module_name(source.path), rule.but)
        for line, imported in imported_modules(source)
        if is_below(imported, rule.forbidden)
    ]
    assert_none(broken)


def test_import_names_are_resolved() -> None:
    text = "import pyinfra.api\nfrom ..areas import docker\nfrom . import plan\nif plan:\n  import facts.host\n"
    source = Source("deploys/planning/driver.py", text, ast.parse(text))
    names = {name for _, name in imported_modules(source)}
    assert names == {"pyinfra.api", "deploys.areas.docker", "deploys.planning.plan", "facts.host"}


def test_public_names_have_docstrings() -> None:
    missing = [
        f"{source.path}:{line} {name}"
        for source in product_sources()
        for line, name, has_docstring in public_names(source)
        if not has_docstring
    ]
    assert_none(missing)


def test_functions_are_typed() -> None:
    untyped = [
        f"{source.path}:{function.lineno} {function.name}: {', '.join(parts)}"
        for source in sources()
        for function in functions(source)
        if (parts := untyped_parts(function))
    ]
    assert_none(untyped)


def test_functions_are_short_and_name_their_arguments() -> None:
    broken = []
    for source in sources():
        for function in functions(source):
            length = (function.end_lineno or function.lineno) - function.lineno + 1
            if length > MAX_FUNCTION_LINES:
                broken.append(f"{source.path}:{function.lineno} {function.name} has {length} lines")
            if function.args.kwarg:
                broken.append(f"{source.path}:{function.lineno} {function.name} takes **{function.args.kwarg.arg}")
    assert_none(broken)


def test_modules_are_short() -> None:
    lengths = {source.path: len(source.text.splitlines()) for source in sources()}
    assert_none([f"{path} has {length} lines" for path, length in lengths.items() if length > MAX_MODULE_LINES])


def test_readme_is_short() -> None:
    lengths = [len(path.read_text(encoding="utf-8").splitlines()) for path in ROOT.glob("README.md")]
    assert all(length <= MAX_README_LINES for length in lengths), lengths


def test_the_product_knows_no_sandbox() -> None:
    assert_none([line for folder in ("facts", "deploys") for line in lines_with("sandbox", below=ROOT / folder)])


def test_no_registry_host_of_this_machine_is_written_down() -> None:
    hosts = registry_hosts(configured_registries())
    assert hosts, "pip alone has a default index: nothing was read"
    assert_none(lines_with("|".join(map(re.escape, hosts))))


def test_registry_hosts_are_read_from_urls() -> None:
    text = "deb https://user:secret@mirror.example:8080/debian x main\ndeb http://localhost/x y z\nhttps://nvidia.github.io/a"
    assert registry_hosts(text) == {"mirror.example"}


def test_this_checkouts_path_is_not_written_down() -> None:
    # A checkout in /src does not own the src of /usr/src.
    assert_none(lines_with(r"(?<![\w.}-])" + re.escape(f"{ROOT}/".lower())))


def test_catalogue_rows_are_dated() -> None:
    undated = [
        f"{path.relative_to(ROOT)} {name}"
        for path in repository_files()
        if path.suffix == ".toml" and path.parent == ROOT / "deploys" / "catalogue"
        for name, row in catalogue_rows("", tomllib.loads(path.read_text(encoding="utf-8")))
        if not is_dated(row)
    ]
    assert_none(undated)


def test_every_kind_of_catalogue_row_is_seen() -> None:
    text = "[[a]]\nx = 1\n[[a]]\n[b]\nx = 1\n[b.inner]\ny = 1\n[c.d]\nx = []\n[[e.f]]\nx = 1\n"
    rows = [name for name, _ in catalogue_rows("", tomllib.loads("schema = 1\n" + text))]
    assert rows == ["a[0]", "a[1]", "b", "c.d", "e.f[0]"]
    assert is_dated({"source": "page", "checked": "2026-11-21"})
    assert not is_dated({"source": "page", "checked": "recently"})
    assert not is_dated({"source": "", "checked": datetime.date(2026, 11, 21)})


def test_the_lock_covers_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lock = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")
    pins = dict(re.findall(r"^([a-z0-9.-]+)==(\S+) \\\n    --hash=sha256:", lock, re.MULTILINE))
    wanted = [Requirement(text) for text in project["dependencies"] + project["optional-dependencies"]["dev"]]
    outside = [str(need) for need in wanted if not need.specifier.contains(pins.get(need.name, ""), prereleases=True)]
    assert_none(outside)
    assert set(pins) == set(re.findall(r"^([a-z0-9.-]+)==", lock, re.MULTILINE)), "a pin without hashes"
    assert not re.search(r"https?:|^\s*--(?:extra-)?index-url|--find-links[ =]/", lock, re.MULTILINE)
