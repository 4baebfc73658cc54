"""The files below a folder: each once, whatever links say, and whatever can not be looked at is listed."""

import os
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from voxfield.cohorts.scans import Left
from voxfield.errors import InputError


@dataclass
class Tree:
    """Files below a folder.

    root    the folder
    files   paths relative to it, with forward slashes, sorted
    left    what could not be looked at, and why
    hidden  how many hidden files and folders were passed over, such as those that macOS leaves (`._x`)
    """

    root: Path
    files: list[str] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    hidden: int = 0


def walk(root: Path) -> Tree:
    """Walk a folder, following links but never twice into one folder. Raises InputError where there is none."""
    if not root.is_dir():
        raise InputError("is no folder; name the one that holds the scans", file=root)
    tree = Tree(root)
    seen = {_identity(root)}
    waiting = [""]
    while waiting:
        _look_into(tree, waiting.pop(), seen, waiting)
    tree.files.sort()
    return tree


def _look_into(tree: Tree, place: str, seen: set[tuple[int, int]], waiting: list[str]) -> None:
    try:
        entries = sorted(os.scandir(tree.root / place), key=lambda entry: entry.name)
    except OSError as error:
        tree.left.append(Left(place or ".", f"folder can not be read: {error.strerror}"))
        return
    for entry in entries:
        path = f"{place}/{entry.name}" if place else entry.name
        fault = _name_fault(entry.name)
        if entry.name.startswith("."):
            tree.hidden += 1
        elif fault:
            tree.left.append(Left(path.encode("utf-8", "backslashreplace").decode(), fault))
        else:
            _sort_in(tree, entry, path, seen, waiting)


def _sort_in(tree: Tree, entry: os.DirEntry[str], path: str, seen: set[tuple[int, int]], waiting: list[str]) -> None:
    try:
        if entry.is_dir():
            identity = _identity(entry)
            if identity in seen:
                tree.left.append(Left(path, "link to a folder that is read elsewhere in the tree"))
            else:
                seen.add(identity)
                waiting.append(path)
        elif entry.is_file():
            tree.files.append(path)
        else:
            tree.left.append(Left(path, "broken link" if entry.is_symlink() else "not a regular file"))
    except OSError as error:
        tree.left.append(Left(path, f"can not be looked at: {error.strerror}"))


def _identity(place: "Path | os.DirEntry[str]") -> tuple[int, int]:
    status = place.stat()
    return status.st_dev, status.st_ino


def _name_fault(name: str) -> str | None:
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8; rename it"
    if any(unicodedata.category(letter) == "Cc" for letter in name):
        return "its name holds a control character; rename it"
    return None
