"""A hash of the code behind a stage, blind to comments, docstrings and formatting.

It covers the module of the stage and every voxfield module that it imports, or names in a text as tables of parts do
("voxfield.x.y:Z"), directly or not, and the templates beside them, found by reading: nothing is imported. The frame
around stages (command line, records, runner) is left out, since it moves no number. Reruns follow this hash, so that an
edited solver recomputes what it made and a cosmetic edit nothing.
"""

import ast
import hashlib
import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

# These decide how a stage is run and written down, never what it computes.
FRAME = frozenset(
    f"voxfield.{name}"
    for name in [
        "_lazy",
        "cards",
        "checking",
        "cli",
        "codehash",
        "command",
        "context",
        "cpu",
        "each",
        "errors",
        "failure",
        "findings",
        "intact",
        "options",
        "paths",
        "plugins",
        "records",
        "registry",
        "runner",
        "settings",
        "settings_yaml",
        "stage",
        "workflow",
        "workspace",
    ]
)

# A text that names a module, or something in it, as tables of parts by name write it; as a dumped tree shows it.
NAMED = re.compile(r"Constant\(value='(\w+(?:\.\w+)+)(?::\w+)?'")


def code_hash(module: str) -> str:
    """Hash of `module` and of what it imports from its own top-level package; 16 hexadecimal digits."""
    seen: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = None if name in seen or _is_frame(name) else _source(name)
        if path is None:
            continue
        digest, imports = _read(name, path, path.stat().st_mtime_ns)
        seen[name] = digest
        waiting.extend(imports)
    joined = "\n".join(f"{name} {seen[name]}" for name in sorted(seen))
    return hashlib.sha256(joined.encode()).hexdigest()[:16]


def _is_frame(name: str) -> bool:
    return name in FRAME or name.startswith("voxfield.runs")


@cache
def _source(name: str) -> Path | None:
    """The file of a module, found by its path so that no package on the way is imported."""
    root, *parts = name.split(".")
    spec = find_spec(root)
    if spec is None or not spec.submodule_search_locations:
        return None
    place = Path(spec.submodule_search_locations[0], *parts)
    for candidate in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
        if parts and candidate.is_file():
            return candidate
    return None


@cache
def _read(name: str, path: Path, _mtime: int) -> tuple[str, tuple[str, ...]]:
    tree = ast.parse(path.read_bytes())
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    imports = _imports(tree, package)
    _strip_docstrings(tree)
    dump = ast.dump(tree)
    root = package.partition(".")[0]
    needed = sorted(n for n in {*imports, *NAMED.findall(dump)} if n == root or n.startswith(f"{root}."))
    return hashlib.sha256(dump.encode() + _templates(path, dump)).hexdigest(), tuple(needed)


def _templates(path: Path, dump: str) -> bytes:
    """The templates beside a module that names them: what they make of the same values is its work as well."""
    folder = path.with_name("templates")
    named = "Constant(value='templates')" in dump and folder.is_dir()
    return b"".join(file.read_bytes() for file in sorted(folder.iterdir())) if named else b""


def _imports(tree: ast.AST, package: str) -> set[str]:
    """Modules that are imported anywhere in the file, functions included."""
    found: set[str] = set()
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
                base = f"{parent}.{base}".rstrip(".")
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return found


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Every statement, at any depth. Expressions, the bulk of a tree, hold neither imports nor docstrings."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting.extend(getattr(node, part, ()))


def _strip_docstrings(tree: ast.AST) -> None:
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in _statements(tree):
        if isinstance(node, holders) and node.body and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
