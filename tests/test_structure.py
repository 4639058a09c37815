"""The house: imports run downwards, nothing goes in circles, files and functions stay small, and nothing heavy is loaded."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "harken"

ROOMS = [
    "errors",
    "durations",
    "plugins",
    "settings",
    "progress",
    "threads",
    "files",
    "headers",
    "quiet",
    "decoders",
    "audio",
    "tracks",
    "alter",
    "clips",
    "datasets",
    "frontends",
    "store",
    "nets",
    "augment",
    "recipes",
    "confidence",
    "archive",
    "engines",
    "folds",
    "leaky",
    "metrics",
    "run",
    "learn",
    "sequential",
    "exchange",
    "judge",
    "align",
    "explain",
    "report",
    "prediction",
    "journal",
    "parts",
    "export",
    "classifier",
    "library",
    "perturb",
    "budget",
    "train",
    "jobs",
    "compare",
    "crossval",
    "tune",
    "distil",
    "doctor",
    "leaks",
    "unknown",
    "audit",
    "serve",
    "cli",
    "__main__",
]
"""Lowest first: a module imports from its own room and from those before it."""

MOST_LINES, MOST_FUNCTION_LINES = 600, 60
HEAVY = ("torch", "keras", "tensorflow", "librosa", "matplotlib", "sklearn", "pandas")
LIGHT = ("harken", "harken.recipes", "harken.archive", "harken.run", "harken.engines.numpy", "harken.learn", "harken.cli")


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
"""Every module's file by the module's name."""


@cache
def syntax(module: str) -> ast.Module:
    return ast.parse(FILES[module].read_text("utf-8"))


def room(module: str) -> str:
    """The room of a module; the package itself, which only shows what lies in it, is none."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


@cache
def imports(module: str) -> frozenset[str]:
    """Every module of Harken that a module imports, wherever in its text; ``harken.__version__`` does not count."""
    found: set[str] = set()
    for node in ast.walk(syntax(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "harken"}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            if node.module and node.module.split(".")[0] == "harken":
                names = {alias.name for alias in node.names if (node.module, alias.name) != ("harken", "__version__")}
                parts = {name for name in names if f"{node.module}.{name}" in FILES}
                found |= {f"{node.module}.{name}" for name in parts}
                found |= {node.module} if names - parts else set()
    return frozenset(found)


def test_the_house_was_found() -> None:
    assert {"harken", "harken.errors", "harken.recipes.reader", "harken.learn.loop"} <= set(FILES)
    assert "harken.recipes" in imports("harken.archive")
    assert "harken.errors" in imports("harken.nets.layers")
    assert sum(len(imports(module)) for module in FILES) > 50


def test_every_room_stands_in_the_order() -> None:
    unknown = {room(module) for module in FILES} - {*ROOMS, ""}
    assert not unknown, f"give these rooms their place in ROOMS: {unknown}"


@pytest.mark.parametrize("module", sorted(FILES))
def test_imports_run_downwards(module: str) -> None:
    if not room(module):
        return
    upwards = {name for name in imports(module) if not room(name) or ROOMS.index(room(name)) > ROOMS.index(room(module))}
    assert not upwards, f"{module} imports from above: {sorted(upwards)}"


def test_imports_do_not_go_in_circles() -> None:
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"a circle: {' → '.join([*path[path.index(module) :], module])}"
        if module in FILES and module not in done:
            for name in sorted(imports(module) - {module}):
                visit(name, (*path, module))
            done.add(module)

    for module in FILES:
        visit(module, ())
    assert done == set(FILES)


def docstring_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """What is said of a function is not part of its length."""
    first = function.body[0]
    return (first.end_lineno or first.lineno) - first.lineno + 1 if ast.get_docstring(function) else 0


@pytest.mark.parametrize("module", sorted(FILES))
def test_files_and_functions_stay_small(module: str) -> None:
    assert len(FILES[module].read_text("utf-8").splitlines()) <= MOST_LINES
    for node in ast.walk(syntax(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1 - docstring_lines(node)
            assert lines <= MOST_FUNCTION_LINES, f"{module}.{node.name} has {lines} lines"


def test_files_beside_the_package_stay_small() -> None:
    root = PACKAGE.parent
    others = [path for folder in ("tests", "benchmarks", "examples") for path in (root / folder).rglob("*.py")]
    long = {path.name: lines for path in others if (lines := len(path.read_text("utf-8").splitlines())) > MOST_LINES}
    assert len(others) > 100 and not long


@pytest.mark.parametrize("module", sorted(FILES))
def test_every_module_says_what_it_is_for(module: str) -> None:
    assert ast.get_docstring(syntax(module)), f"{module} has no docstring"


@pytest.mark.parametrize("module", [*LIGHT, "harken.classifier", "harken.store"])
def test_nothing_heavy_is_loaded(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not there yet")
    code = f"import sys, {module}; print(*sorted({set(HEAVY)!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "", f"import {module} loads {done.stdout.strip()}"
    assert done.stderr == ""
