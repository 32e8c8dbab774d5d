"""The layers and the pure packages of docs/architecture.md, enforced on the source: nothing is imported here.

The two tables are the rule. A module may import from its own layer and from every layer below it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import tessenger

LAYERS = (
    # top: each line may import from itself and from the lines below it
    {"__main__"},
    {"server.cli", "client.cli"},  # the command lines
    {"server", "client"},  # processes, sockets, terminal
    {"state", "journal"},  # implementations of the chat's ports
    {"chat"},  # every rule of the chat
    {"wire", "transfer"},  # the two protocols
    {"config", "config_values", "command_line", "error_log", "early_signals", "standard_streams"},
    {"errors", "undecodable", ""},  # "" is the package itself: its version
)

APART = (
    # neither imports the other
    ("server", "client"),
    ("state", "journal"),
    ("wire", "transfer"),
)

PURE = ("wire", "chat", "transfer")
"""Packages whose inputs are arguments and whose outputs are results: time comes in, I/O goes out through a port."""

IMPURE_MODULES = {
    "transfer.arrival": {"os", "pathlib"},  # whether they can land there
    "transfer.paths": {"os", "pathlib", "tempfile", "errno", "ctypes", "sys", "fcntl"},  # where files land
    "wire.times": {"time"},  # `time.localtime`, to show a moment that came as an argument
}

EFFECTS = frozenset(
    """
    _thread asyncio concurrent ctypes datetime errno fcntl glob http io logging mmap multiprocessing os pathlib
    random secrets select selectors shutil signal socket socketserver sqlite3 ssl subprocess sys tempfile threading
    time uvloop
    """.split()
)
"""What reaches a clock, a random source, a process, a thread, an event loop, a socket or a file."""

WITHOUT_TERMINAL = "client.filter"
"""The client in a pipe: starts without the cost of prompt_toolkit."""


class Module:
    """A module of the package, by its dotted name without `tessenger.`; `source` is its text."""

    def __init__(self, name: str, source: str, *, is_package: bool = False) -> None:
        self.name = name
        self.tree = ast.parse(source)
        self._package = ["tessenger", *name.split(".")] if is_package else ["tessenger", *name.split(".")][:-1]

    def imports(self, *, at_import_time: bool = False) -> Iterator[tuple[str, int]]:
        """Yield what is imported, absolute, and in which line; `at_import_time` leaves out what functions import."""
        nodes = _executed(self.tree) if at_import_time else ast.walk(self.tree)
        for node in nodes:
            if isinstance(node, ast.Import):
                yield from ((alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = ".".join(self._package[: len(self._package) + 1 - node.level]) if node.level else ""
                origin = ".".join(filter(None, [base, node.module]))
                yield from ((f"{origin}.{alias.name}", node.lineno) for alias in node.names)

    def own_imports(self, modules: dict[str, Module], *, at_import_time: bool = False) -> Iterator[tuple[str, int]]:
        """Yield the modules of the package that are imported, and in which line."""
        for imported, line in self.imports(at_import_time=at_import_time):
            if imported.split(".")[0] == "tessenger":
                yield _module_of(imported, modules), line


def _executed(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk what runs when the module is imported: not functions, nor what only a type checker sees."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _executed(node)


def _module_of(imported: str, modules: dict[str, Module]) -> str:
    """Return the module in which `tessenger.a.b.Name` is found: `a.b` or, where that is a module, `a.b.Name`."""
    name = imported.removeprefix("tessenger").lstrip(".")
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name


def _layer(name: str) -> int:
    """Return the layer of a module, 0 being the top: that of the longest name in the table that it begins with."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        for layer, members in enumerate(LAYERS):
            if ".".join(parts[:length]) in members:
                return layer
    raise LookupError(f"the module {name} has no layer: add its package to the table")


def _is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def upward_imports(modules: dict[str, Module]) -> Iterator[str]:
    """Describe each import that points up, or across to a package that stands apart."""
    for module in modules.values():
        for target, line in module.own_imports(modules):
            if _layer(target) < _layer(module.name):
                yield f"{module.name}:{line} imports {target}, which is above it"
            for pair in (*APART, *((b, a) for a, b in APART)):
                if _is_in(module.name, pair[0]) and _is_in(target, pair[1]):
                    yield f"{module.name}:{line} imports {target}, which stands apart from it"


def effects_of_pure_modules(modules: dict[str, Module]) -> Iterator[str]:
    """Describe each import by which a pure module could reach the world."""
    for module in modules.values():
        if any(_is_in(module.name, package) for package in PURE):
            allowed = IMPURE_MODULES.get(module.name, set())
            for imported, line in module.imports():
                if imported.split(".")[0] in EFFECTS - allowed:
                    yield f"{module.name}:{line} is to be pure but imports {imported}"


def loaded_with(name: str, modules: dict[str, Module]) -> dict[str, str]:
    """Return all that importing this module loads, each with the module that asks for it; packages included."""
    loaded: dict[str, str] = {}
    waiting = [name]
    while waiting:
        module = modules[waiting.pop()]
        for imported, _ in module.imports(at_import_time=True):
            if imported in loaded:
                continue
            loaded[imported] = module.name
            if imported.split(".")[0] == "tessenger":
                parts = _module_of(imported, modules).split(".")
                above = (".".join(parts[:length]) for length in range(1, len(parts) + 1))
                waiting += [module for module in above if module in modules]
    return loaded


@pytest.fixture(scope="module")
def modules() -> dict[str, Module]:
    """Every module of the package by its name."""
    top = Path(tessenger.__file__).parent
    found = {}
    for path in sorted(top.rglob("*.py")):
        parts = path.relative_to(top).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        found[name] = Module(name, path.read_text("utf-8"), is_package=is_package)
    return found


def made_up(**sources: str) -> dict[str, Module]:
    """Return modules that exist in this test only; `a__b` stands for `a.b`."""
    return {(name := key.replace("__", ".")): Module(name, source) for key, source in sources.items()}


def test_imports_point_down_only(modules: dict[str, Module]) -> None:
    """No module imports from a layer above its own, nor does the server import the client or the other way round."""
    assert list(upward_imports(modules)) == []


def test_pure_packages_reach_nothing(modules: dict[str, Module]) -> None:
    """Wire, chat and transfer import no socket, process, thread, event loop, clock, random source or file."""
    assert list(effects_of_pure_modules(modules)) == []


def test_filter_does_without_prompt_toolkit(modules: dict[str, Module]) -> None:
    """A client in a pipe does not pay for the terminal: nothing that it imports when it starts needs prompt_toolkit."""
    loaded = loaded_with(WITHOUT_TERMINAL, modules)

    assert "tessenger.client.session" in {name.rpartition(".")[0] for name in loaded} | loaded.keys()
    assert {name: by for name, by in loaded.items() if name.split(".")[0] == "prompt_toolkit"} == {}


def test_every_module_says_what_it_is_for(modules: dict[str, Module]) -> None:
    """Each module begins with a docstring."""
    assert [name for name, module in modules.items() if not ast.get_docstring(module.tree)] == []


def test_table_covers_every_module(modules: dict[str, Module]) -> None:
    """Each module has a layer, and the table names no package that is not there."""
    assert all(_layer(name) >= 0 for name in modules)
    assert {name for members in LAYERS for name in members} <= modules.keys()


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("from tessenger.chat import hub", "wire.names:1 imports chat.hub, which is above it"),
        ("from tessenger.chat.hub import Hub", "wire.names:1 imports chat.hub, which is above it"),
        ("import tessenger.chat.hub as h", "wire.names:1 imports chat.hub, which is above it"),
        ("from ..chat.hub import Hub", "wire.names:1 imports chat.hub, which is above it"),
        ("def f():\n    from tessenger.chat.hub import Hub", "wire.names:2 imports chat.hub, which is above it"),
        ("import tessenger.transfer.packets", "wire.names:1 imports transfer.packets, which stands apart from it"),
    ],
)
def test_upward_import_is_found(source: str, complaint: str) -> None:
    """However an import is written, one that points up or across is reported with its line."""
    invented = made_up(wire__names=source, chat__hub="", transfer__packets="")

    assert list(upward_imports(invented)) == [complaint]


def test_server_and_client_stand_apart() -> None:
    """An import between the server and the client is reported, in either direction."""
    invented = made_up(
        server__worker="import tessenger.client.repl",
        client__repl="import tessenger.server.worker",
        server__cli="import tessenger.client.cli",
        client__cli="import tessenger.server.cli",
    )

    assert len(list(upward_imports(invented))) == 4


def test_downward_import_is_fine() -> None:
    """What the layers allow is not reported."""
    invented = made_up(
        server__worker="from tessenger.chat.hub import Hub\nfrom tessenger.server import roles\nimport asyncio",
        server__roles="",
        chat__hub="from tessenger.wire import names\nimport tessenger.errors",
        wire__names="",
        errors="",
    )

    assert list(upward_imports(invented)) == []
    assert list(effects_of_pure_modules(invented)) == []


@pytest.mark.parametrize(
    "source", ["import time", "from os import path", "import asyncio.events", "def f(): import random"]
)
def test_effect_in_a_pure_module_is_found(source: str) -> None:
    """A clock, a file, an event loop or a random source in a pure package is reported, in functions too."""
    assert len(list(effects_of_pure_modules(made_up(chat__hub=source)))) == 1


def test_prompt_toolkit_is_found_through_other_modules() -> None:
    """The filter's promise is checked through all modules that it loads; what only functions import does not count."""
    invented = made_up(
        client__filter="from tessenger.client import session\ndef f():\n    import prompt_toolkit.lazily",
        client__session="import prompt_toolkit.history",
    )

    loaded = loaded_with("client.filter", invented)

    assert loaded["prompt_toolkit.history"] == "client.session"
    assert "prompt_toolkit.lazily" not in loaded


def test_module_without_a_layer_is_found() -> None:
    """A new package must be given a layer before it can be used."""
    with pytest.raises(LookupError, match="gossip"):
        _layer("gossip.rumour")
