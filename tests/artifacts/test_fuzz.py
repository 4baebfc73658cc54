"""Damage of every sort to a file of every kind: the only outcomes are equal values and an InputError that names it.

Formats without a checksum may also give other values that are well-formed: the hash in the record knows the difference.
"""

import gzip
import json
import struct
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from artifacts.kinds import FOREIGN, GUARDED, OPEN, SOUND, save_sound
from voxfield import artifacts
from voxfield.artifacts import Artifact
from voxfield.errors import InputError
from voxfield.findings import Findings

Damage = Callable[[bytes, np.random.Generator], bytes]
FLIPS, CUTS, EDITS = 80, 25, 60
NAMES = (
    "data", "affine", "unit", "labels", "unannotated", "columns", "values", "arrays", "weights", "config", "points",
    "radii", "parents", "kinds", "lines", "point_data", "vertices", "triangles", "nodes", "edges", "ends", "count",
    "pixels", "statement",
)  # fmt: skip
ODD = (-1, 0, 2**40, 1.5, None, "x", "", [], {}, True, [1, -2], "nan", "\u0000")
FIELDS = struct.Struct("<h"), struct.Struct("<f"), struct.Struct("<i")
STRANGE = (-1, 0, 1, 7, 32767, -32768, float("nan"), float("inf"), 1e30, -1e-30)


def content(artifact: Artifact) -> dict[str, Any]:
    """Everything that an artifact holds, as comparable values."""
    found: dict[str, Any] = {}
    for name in NAMES:
        value = getattr(artifact, name, None)
        if isinstance(value, dict):
            found |= {f"{name}.{key}": _comparable(item) for key, item in value.items()}
        elif isinstance(value, list):
            found |= {f"{name}.{place}": _comparable(item) for place, item in enumerate(value)}
        elif value is not None:
            found[name] = _comparable(value)
    return found


def _comparable(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        value = (value.view(torch.int16) if value.dtype == torch.bfloat16 else value).numpy()
    return (value.shape, str(value.dtype), value.tobytes()) if isinstance(value, np.ndarray) else value


def outcomes(name: str, damage: Damage, folder: Path, times: int, suffix: str | None = None) -> Counter[str]:
    """How often damaged copies were refused, equal or different; any other exception comes through."""
    sound = save_sound(name, folder, suffix)
    kind = type(SOUND[name])
    raw, expected = sound.read_bytes(), content(kind.load(sound))
    path = sound.with_name(f"damaged{sound.name.removeprefix('sound')}")
    counts: Counter[str] = Counter()
    for seed in range(times):
        path.write_bytes(damage(raw, np.random.default_rng(seed)))
        try:
            found = kind.load(path)
            found.check(Findings())
        except InputError as error:
            lines = error.message.splitlines()
            named = error.file == path and all(lines) and (len(lines) == 1 or name == "Problem")
            counts["refused" if named else f"badly refused: {error}"] += 1
        else:
            counts["equal" if content(found) == expected else "different"] += 1
    return counts


def flip(raw: bytes, rng: np.random.Generator) -> bytes:
    """Change one byte, anywhere, to any other value."""
    spoilt = bytearray(raw)
    spoilt[rng.integers(len(raw))] ^= rng.integers(1, 256)
    return bytes(spoilt)


def cut(raw: bytes, rng: np.random.Generator) -> bytes:
    """Lose the end, or get some more of it."""
    if rng.random() < 0.2:
        return raw + rng.bytes(int(rng.integers(1, 40)))
    return raw[: int(rng.integers(0, len(raw)))]


def zeros(raw: bytes, rng: np.random.Generator) -> bytes:
    """A hole, as a file system leaves it after a crash; it holds at least one byte that was not 0."""
    start = int(rng.choice([place for place, byte in enumerate(raw) if byte]))
    length = int(rng.integers(1, max(2, len(raw) // 2)))
    return raw[:start] + bytes(min(length, len(raw) - start)) + raw[start + length :]


def edited_tensors(raw: bytes, rng: np.random.Generator) -> bytes:
    """One entry of the header made odd, checksum and length made right again."""
    length = struct.unpack("<Q", raw[:8])[0]
    header, data = json.loads(raw[8 : 8 + length]), raw[8 + length :]
    told = json.loads(header["__metadata__"]["voxfield"])
    if rng.random() < 0.5:
        told[str(rng.choice(sorted(told)))] = ODD[rng.integers(len(ODD))]
    else:
        entry = header[str(rng.choice(sorted(set(header) - {"__metadata__"})))]
        entry[str(rng.choice(sorted(entry)))] = ODD[rng.integers(len(ODD))]
    header["__metadata__"] = {"voxfield": json.dumps(told)}
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    header["__metadata__"]["crc32"] = f"{zlib.crc32(data, zlib.crc32(text)):08x}"
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def edited_header(raw: bytes, rng: np.random.Generator) -> bytes:
    """A field of a NIfTI header made strange, the stream whole."""
    plain = bytearray(gzip.decompress(raw))
    field = FIELDS[rng.integers(len(FIELDS))]
    value = STRANGE[rng.integers(len(STRANGE))]
    place = int(rng.integers(0, 348 // field.size)) * field.size
    if field.format != "<f":
        value = int(value) if np.isfinite(value) and abs(value) < 2**15 else 2**15 - 1
    field.pack_into(plain, place, value)
    return gzip.compress(bytes(plain), mtime=0)


def edited_note(raw: bytes, rng: np.random.Generator) -> bytes:
    """A value of our extension of the header made odd, in as many bytes."""
    plain = gzip.decompress(raw)
    start, end = 360, 352 + struct.unpack_from("<i", plain, 352)[0]  # size and code, then the text
    note = json.loads(plain[start:end].rstrip(b"\0"))["voxfield"]
    note[str(rng.choice(sorted(note)))] = ODD[rng.integers(len(ODD))]
    text = b'{"voxfield":' + json.dumps(note, separators=(",", ":")).encode() + b"}"
    return gzip.compress(plain[:start] + text[: end - start].ljust(end - start, b"\0") + plain[end:], mtime=0)


def test_every_kind_is_damaged() -> None:
    kinds = {
        name for name, kind in vars(artifacts).items()
        if isinstance(kind, type) and issubclass(kind, Artifact) and kind is not Artifact
    }  # fmt: skip
    assert kinds == {*SOUND, *FOREIGN}


@pytest.mark.parametrize(("damage", "times"), [(flip, FLIPS), (cut, CUTS), (zeros, CUTS)])
@pytest.mark.parametrize("name", GUARDED)
def test_no_damage_changes_a_value_silently(name: str, damage: Damage, times: int, tmp_path: Path) -> None:
    counts = outcomes(name, damage, tmp_path, times)
    assert set(counts) <= {"refused", "equal"}
    assert counts["refused"] >= 0.9 * times


@pytest.mark.parametrize(("damage", "times"), [(flip, FLIPS), (cut, CUTS), (zeros, CUTS)])
@pytest.mark.parametrize("name", [*OPEN, "Image"])
def test_formats_without_checksum_are_read_or_refused(name: str, damage: Damage, times: int, tmp_path: Path) -> None:
    counts = outcomes(name, damage, tmp_path, times, ".nii" if name == "Image" else None)
    assert set(counts) <= {"refused", "equal", "different"}


@pytest.mark.parametrize("name", [name for name, sound in GUARDED.items() if sound.suffix == ".safetensors"])
def test_headers_that_contradict_the_tensors(name: str, tmp_path: Path) -> None:
    counts = outcomes(name, edited_tensors, tmp_path, EDITS)
    assert set(counts) <= {"refused", "equal", "different"}
    assert counts["refused"] > 0


@pytest.mark.parametrize("damage", [edited_header, edited_note])
@pytest.mark.parametrize("name", ["PartialImage", "VectorImage", "LabelMap"])
def test_headers_that_contradict_the_voxels(name: str, damage: Damage, tmp_path: Path) -> None:
    counts = outcomes(name, damage, tmp_path, EDITS)
    assert set(counts) <= {"refused", "equal", "different"}
    assert counts["refused"] > 0
