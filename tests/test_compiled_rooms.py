"""What is given to mypyc is there, and does nothing that behaves otherwise once it is compiled.

Compiling takes minutes, so that nobody does it for every change (`make test-compiled`); this reads the sources.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from scripts.compiled_rooms import INTERPRETED, ROOT, WHOLE, compiled_modules

MODULES = compiled_modules()
UNKNOWN_TO_MYPYC = ("_cffi_backend", "asyncio", "cffi", "pbx.native", "pydantic", "twisted", "uvloop")
ENGINE_BINDING = ("pbx/media/engine.py", "pbx/media/engine_commands.py", "pbx/media/engine_events.py")
"""What may know the native engine although it is compiled: see the last test."""


def at_run_time(nodes: list[ast.stmt]) -> Iterator[ast.AST]:
    """Walk over all that is not only for type checkers."""
    for node in nodes:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            yield from at_run_time(node.orelse)
        else:
            yield from ast.walk(node)


def imported(module: str) -> set[str]:
    found: set[str] = set()
    for node in at_run_time(ast.parse((ROOT / module).read_text()).body):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.update((str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)))
    return found


def test_what_is_named_is_there() -> None:
    assert len(set(MODULES)) == len(MODULES)
    assert [name for name in (*MODULES, *INTERPRETED) if not (ROOT / name).is_file()] == []
    assert [name for name in INTERPRETED if not name.startswith(tuple(f"{room}/" for room in WHOLE))] == []
    assert set(MODULES).isdisjoint(INTERPRETED)


def test_they_know_no_library_that_mypyc_does_not() -> None:
    for module in MODULES:
        unknown = {name for name in imported(module) if name.startswith(UNKNOWN_TO_MYPYC)}
        if module in ENGINE_BINDING:
            unknown -= {"pbx.native._engine", "pbx.native._engine.ffi", "pbx.native._engine.lib"}
        assert unknown == set(), module


def test_no_class_has_a_metaclass_of_abc() -> None:
    """Compiled classes under ABCMeta inherit one cache of isinstance: what is no instance of one is soon none of all.

    Protocols are under it too, but nobody asks for instances of them unless they are made for that.
    """
    for module in MODULES:
        assert imported(module).isdisjoint(("abc.ABC", "abc.ABCMeta", "typing.runtime_checkable")), module


def test_no_function_names_errors_of_two_classes_alike() -> None:
    """The name has the type of the first; compiled, the second is TypeError where an error should be handled."""
    for module in MODULES:
        tree = ast.parse((ROOT / module).read_text())
        for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]:
            kinds: dict[str, str] = {}
            for node in ast.walk(function):
                if isinstance(node, ast.ExceptHandler) and node.name and isinstance(node.type, ast.Name):
                    assert kinds.setdefault(node.name, node.type.id) == node.type.id, f"{module}:{node.lineno}"


def test_no_c_value_is_kept_by_a_local_variable_that_another_one_points_to() -> None:
    """A compiled function lets go of a local after its last use, and what a struct points to would be gone before the
    struct is read. So values are made by `Commander._new`, which keeps them. The others point to nothing of ours."""
    made = []
    for module in ENGINE_BINDING:
        for function in [
            node for node in ast.walk(ast.parse((ROOT / module).read_text())) if isinstance(node, ast.FunctionDef)
        ]:
            calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
            made += [
                (function.name, ast.unparse(call.args[0])) for call in calls if ast.unparse(call.func) == "ffi.new"
            ]
    assert made == [
        ("__init__", "'struct engine_options *'"),
        ("__init__", "'char[]'"),
        ("__init__", "'struct engine_event[]'"),
        ("counters", "'struct engine_counters *'"),
        ("_new", "kind"),
    ]
