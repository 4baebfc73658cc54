"""One target of `fuzz.py`: a reader that atheris feeds with bytes; anything but an InputError is written down.

    python _fuzz_target.py TARGET FOLDER guided|blind FLAGS-OF-LIBFUZZER...

It works in the folder that it is started in. `FOLDER/seeds/TARGET` holds sound files; `FOLDER/crashes` gets one input
for every new kind of failure, so that a run goes on after it has found one.
"""

import contextlib
import random
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["voxfield"]):
    from voxfield import artifacts, records, settings_yaml
    from voxfield.artifacts import _gifti, _safetensors, _strict_json, _table, _xml
    from voxfield.artifacts._nifti import _geometry, _header, _layout, _note, _reader, _stream
    from voxfield.errors import InputError
    from voxfield.findings import Findings
    from voxfield.io import _array_file, _dicom_header
    from voxfield.settings import SettingsModel

_ = (_gifti, _safetensors, _strict_json, _table, _xml, _geometry, _header, _layout, _note, _reader, _stream)
TENSORS = ("FaceFlux", "FieldSamples", "GridField", "Manifold", "Model", "PointField", "PointSamples")
SETTINGS = SettingsModel(
    "fuzz", {"rate": (float, 0.1), "steps": (int, 1), "names": (tuple[str, ...], ()), "on": (bool, True)}
)


def _kind(*names: str) -> Callable[[Path], object]:
    """Read a file as every kind of the list."""

    def read(path: Path) -> None:
        failed = None
        for name in names:
            try:
                getattr(artifacts, name).load(path).check(Findings())
            except InputError as error:
                failed = error
        if failed is not None:
            raise failed

    return read


def _tensors(path: Path) -> None:
    found = _safetensors.TensorFile(path, artifacts.Limits(), Findings())
    kind = str(found.content.get("kind"))
    (_kind(kind) if kind in TENSORS else lambda _: found.read())(path)


def _settings(path: Path) -> None:
    SETTINGS.validate(settings_yaml.load_yaml(path), file=path)


def _record(path: Path) -> None:
    records.read_record(path.with_name(path.name.removesuffix(".json")))


# name -> suffix of its files, and what reads them
TARGETS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "nifti": (".nii", _kind("ImageSeries", "LabelMap", "PartialVectorImage")),
    "gzip": (".nii.gz", _kind("PartialImage", "LabelMap")),
    "safetensors": (".safetensors", _tensors),
    "table": (".tsv", _kind("Cohort")),
    "json": (".json", _kind("Metrics")),
    "swc": (".swc", _kind("Centerline")),
    "vtp": (".vtp", _kind("Polyline")),
    "graphml": (".graphml", _kind("Graph")),
    "gifti": (".surf.gii", _kind("Mesh")),
    "png": (".png", _kind("Picture")),
    "problem": (".yaml", _kind("Problem")),
    "settings": (".yaml", _settings),
    "record": (".tsv.json", _record),
    "npy": (".npy", _array_file.read_array),
    "dicom": (".dcm", _dicom_header.read_header),
}


def main() -> None:
    """Feed one target until libFuzzer has made its runs."""
    target, folder, way, *flags = sys.argv[1:]
    suffix, read = TARGETS[target]
    path = Path(f"input{suffix}").resolve()
    seeds = [seed.read_bytes() for seed in sorted((Path(folder) / "seeds" / target).iterdir())]
    known: set[str] = set()
    for seed in seeds:  # imports what it needs, before the clock of an input runs
        path.write_bytes(seed)
        with contextlib.suppress(InputError):  # of a target that reads a file as several kinds
            read(path)

    def one(data: bytes) -> None:
        path.write_bytes(data)
        try:
            read(path)
        except InputError as error:
            if error.file is None or not str(error).strip():
                _keep("anonymous: " + str(error)[:80], data)
        except Exception as error:  # noqa: BLE001  (that is what we are looking for)
            frame = traceback.extract_tb(error.__traceback__)[-1]
            _keep(f"{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}: {str(error)[:80]}", data)

    def _keep(what: str, data: bytes) -> None:
        if what not in known:
            known.add(what)
            place = Path(folder) / "crashes" / f"{Path.cwd().name}-{len(known)}"
            place.with_suffix(suffix).write_bytes(data)
            place.with_suffix(".txt").write_text(what + "\n")

    def from_seeds(_: bytes, size: int, seed: int) -> bytes:
        """A mutation of a sound file, whatever was learnt: the same mutations without guidance."""
        rng = random.Random(seed)  # noqa: S311
        data = rng.choice(seeds)
        for _ in range(rng.randint(1, 5)):
            data = atheris.Mutate(data, size)
        return data

    learnt = Path("learnt")  # libFuzzer writes into the first folder only
    learnt.mkdir()
    corpus = [] if way == "blind" else [str(learnt), str(Path(folder) / "seeds" / target)]
    words = [sys.argv[0], *flags, *corpus]
    if way == "blind":
        atheris.Setup(words, one, custom_mutator=from_seeds)
    else:
        atheris.Setup(words, one)
    with contextlib.suppress(SystemExit):
        atheris.Fuzz()


if __name__ == "__main__":
    main()
