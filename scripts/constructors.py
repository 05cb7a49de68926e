"""Writes the constructors of dataclasses out, for mypyc.

mypyc compiles a dataclass, but its `__init__` is made by `dataclasses` as the program starts, and runs in the
interpreter: three thousand instructions where a constructor in the source takes a hundred. So what is given to mypyc
has it in the source. It stands in one line, in the place of an empty one, so that every other line keeps its number:

    @dataclass(frozen=True, slots=True)           @dataclass(unsafe_hash=True, slots=True, init=False)
    class Hang:                                   class Hang:
        leg: str                                      leg: str
                                                      def __init__(self, leg: str) -> None: self.leg = leg

Left alone are classes whose constructor is more than that: with bases, fields that are not for the constructor, or
`__post_init__`.
"""

from __future__ import annotations

import ast

__all__ = ["write_out"]


def write_out(source: str) -> str:
    """Return a module's source with its dataclasses' constructors in it."""
    lines = source.split("\n")
    tree = ast.parse(source)
    for found in [node for node in tree.body if isinstance(node, ast.ClassDef)]:
        decorator = _decorator(found)
        constructor = _constructor(found) if decorator is not None else None
        place = _empty_line(found, lines)
        if decorator is None or constructor is None or place is None:
            continue
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in decorator.keywords}
        if options.pop("frozen", "False") == "True" and options.get("eq") != "False":
            options["unsafe_hash"] = "True"
        options["init"] = "False"
        written = ", ".join(f"{name}={value}" for name, value in options.items())
        lines[decorator.lineno - 1] = f"@dataclass({written})"
        lines[place] = constructor
    return "\n".join(lines)


def _decorator(found: ast.ClassDef) -> ast.Call | None:
    """Return ``@dataclass(…)`` of a class that stands in one line and has no other decorator and no base."""
    if found.bases or found.keywords or len(found.decorator_list) != 1:
        return None
    decorator = found.decorator_list[0]
    if not isinstance(decorator, ast.Call) or not isinstance(decorator.func, ast.Name):
        return None
    return decorator if decorator.func.id == "dataclass" and decorator.lineno == decorator.end_lineno else None


def _constructor(found: ast.ClassDef) -> str | None:
    """Return the constructor of a dataclass in one line; None if it has or needs another one."""
    parameters, body = ["self"], []
    for node in found.body:
        if isinstance(node, ast.FunctionDef) and node.name in ("__init__", "__post_init__"):
            return None
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        name, kind, value = node.target.id, ast.unparse(node.annotation), node.value
        if kind.startswith(("ClassVar", "InitVar")):
            return None
        default, given = "", name
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "field":
            options = {keyword.arg: keyword.value for keyword in value.keywords}
            if "init" in options or "kw_only" in options:
                return None
            factory = options.get("default_factory")
            if factory is not None:
                made = ast.unparse(factory.body) if isinstance(factory, ast.Lambda) else f"{ast.unparse(factory)}()"
                kind, default, given = f"({kind}) | None", " = None", f"{made} if {name} is None else {name}"
            elif "default" in options:
                default = f" = {ast.unparse(options['default'])}"
        elif value is not None:
            default = f" = {ast.unparse(value)}"
        parameters.append(f"{name}: {kind}{default}")
        body.append(f"self.{name} = {given}")
    return f"    def __init__({', '.join(parameters)}) -> None: {'; '.join(body)}" if body else None


def _empty_line(found: ast.ClassDef, lines: list[str]) -> int | None:
    """Return where an empty line in a class or right after it is, as an index."""
    assert found.end_lineno is not None
    return found.end_lineno if found.end_lineno < len(lines) and not lines[found.end_lineno].strip() else None
