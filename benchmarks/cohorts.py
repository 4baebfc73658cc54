"""From a folder to a cohort: what reading a tree costs, what a check costs beside reading, and defective DICOM series.

Trees are made for this: DICOM files with the headers of a scanner's length (150 elements), BIDS files of one byte. The
peer is SimpleITK's reader of series, which sorts by position as GDCM does; whoever uses it gets its warnings at most.
"""

import contextlib
import io
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from _common import ROOT, Claim, finish, options
from startup import child_cpu
from voxfield.artifacts import Cohort, Image, LabelMap, Limits, RawFile
from voxfield.checking_cohort import check_scans
from voxfield.context import Context
from voxfield.errors import InputError
from voxfield.io import convert

sys.path.append(str(ROOT / "tests"))
from dicom_files import element, planes, write_series

AFFINE = np.diag([-0.7, -0.7, 2.0, 1.0])
PRIVATE = b"".join(element(0x9, 0x1000 + k, "LO", b"private text %d" % k) for k in range(120))


def dicom_tree(folder: Path, files: int) -> None:
    """Series of 200 slices, a folder each."""
    data = np.zeros((64, 64, 200), int)
    for number in range(files // 200):
        uid = f"1.2.{number // 2}"
        place = folder / f"p{number // 2}" / f"s{number % 2}"
        for path in write_series(place, data, AFFINE, patient=f"MRN{number // 2}", study=uid, series=f"{uid}.{number}"):
            raw = path.read_bytes()
            at = raw.index(b"\x10\x00\x10\x00PN")
            path.write_bytes(raw[:at] + PRIVATE + raw[at:])


def bids_tree(folder: Path, scans: int) -> None:
    """A scan and its sidecar a subject."""
    for number in range(scans):
        place = folder / f"sub-{number:05}" / "anat"
        place.mkdir(parents=True)
        (place / f"sub-{number:05}_T1w.nii.gz").write_bytes(b"x")
        (place / f"sub-{number:05}_T1w.json").write_text("{}")


def cohort_of_scans(folder: Path, scans: int) -> Path:
    """Scans of noise with label maps, and their table."""
    rng = np.random.default_rng(0)
    for number in range(scans):
        Image((rng.random((64,) * 3) * 1000).astype("i2"), AFFINE).save(folder / f"{number}.nii.gz")
        LabelMap(rng.random((64,) * 3) > 0.9, AFFINE).save(folder / f"m{number}.nii.gz")
    names = [str(number) for number in range(scans)]
    Cohort({"subject": names, "image": [f"{n}.nii.gz" for n in names],
            "annotation": [f"m{n}.nii.gz" for n in names]}).save(folder / "cohort.tsv")  # fmt: skip
    return folder / "cohort.tsv"


def costs(folder: Path, quick: bool) -> tuple[list[dict[str, Any]], list[Claim]]:
    """CPU seconds of reading trees and of checking a cohort."""
    files, scans = (2000, 40) if quick else (10_000, 200)
    for name in ("dicom", "bids", "scans"):
        (folder / name).mkdir()
    dicom_tree(folder / "dicom", files)
    bids_tree(folder / "bids", files // 2)
    words = [sys.executable, "-m", "voxfield", "cohort"]
    dicom = child_cpu([*words, str(folder / "dicom"), "--out", str(folder / "d.tsv")])
    bids = child_cpu([*words, str(folder / "bids"), "--out", str(folder / "b.tsv")])
    peer = cpu_of(lambda: [sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(p)) for p in (folder / "dicom").glob("*/*")])
    table = cohort_of_scans(folder / "scans", scans)
    with contextlib.redirect_stdout(io.StringIO()):
        checked = cpu_of(lambda: check_scans(table, None, Limits()))
    names = [path for path in (folder / "scans").glob("*.nii.gz") if not path.name.startswith("m")]
    read = cpu_of(lambda: [(Image.load(p).data, LabelMap.load(p.with_name(f"m{p.name}")).data) for p in names])
    rows = [
        {"what": f"voxfield cohort, {files} DICOM files", "CPU s": dicom},
        {"what": "- SimpleITK finds their series", "CPU s": peer},
        {"what": f"voxfield cohort, BIDS, {files // 2} scans and sidecars", "CPU s": bids},
        {"what": f"voxfield check, {scans} scans of 64^3 with label maps", "CPU s": checked},
        {"what": "- reading them", "CPU s": read},
    ]
    claims = [
        Claim("milliseconds of a DICOM file", 1000 * dicom / files, 2, "<="),
        Claim("check over reading", checked / read, 1.5, "<="),
    ]
    return rows, claims


def cpu_of(call: Callable[[], object]) -> float:
    """CPU seconds of a call."""
    started = time.process_time()
    call()
    return time.process_time() - started


def defects() -> Iterator[tuple[str, Callable[[Path], None]]]:
    """Series that make no volume, or not the one that they seem to make."""
    data = np.random.default_rng(0).integers(0, 4000, (16, 16, 12))
    places = planes(AFFINE, 12)[2]
    tilted = AFFINE.copy()
    tilted[1, 2] = 0.6

    def series(*ways: dict[str, Any]) -> Callable[[Path], None]:
        def write(folder: Path) -> None:
            for number, way in enumerate(ways):
                write_series(folder, way.pop("data", data), way.pop("affine", AFFINE), prefix=f"{number}-", **way)

        return write

    one = data[:, :, :1]
    yield "slice missing", series({"position": [p for k, p in enumerate(places) if k != 5]})
    yield "slice doubled", series({}, {"data": one, "position": [places[4]]})
    yield "two phases", series({}, {"data": data + 1})
    yield (
        "spacing varies",
        series({"position": [f"{p.rpartition(chr(92))[0]}\\{k * k / 6}" for k, p in enumerate(places)]}),
    )
    yield (
        "one slice oriented otherwise",
        series({}, {"data": one, "position": ["0\\0\\30"], "orientation": "1\\0\\0\\0\\0\\-1"}),
    )
    yield "one slice of other pixel spacing", series({}, {"data": one, "position": ["0\\0\\24"], "spacing": "3\\3"})
    yield "tilted gantry (to report)", series({"affine": tilted})


def ours(folder: Path) -> str:
    """What io.convert makes of a folder."""
    ctx = Context()
    try:
        convert(RawFile(folder), ctx=ctx)
    except InputError as error:
        return "refused, file named" if error.file and error.file.is_file() else "refused"
    return f"reported: {', '.join(ctx.findings.codes())}" if ctx.findings.codes() else "loaded silently"


def theirs(folder: Path) -> str:
    """What SimpleITK's reader of series makes of it."""
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    try:
        image = reader.Execute()
    except RuntimeError:
        return "refused"
    return f"loaded, {image.GetSize()[2]} slices {image.GetSpacing()[2]:.3g} mm apart"


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__ or "", seeds=1)
    with tempfile.TemporaryDirectory() as folder:
        rows, claims = costs(Path(folder), chosen.quick)
        found = []
        for number, (name, write) in enumerate(defects()):
            place = Path(folder) / f"defect{number}"
            write(place)
            found.append({"series": name, "io.convert": ours(place), "SimpleITK": theirs(place)})
    caught = sum(not row["io.convert"].startswith("loaded") for row in found)
    claims.append(Claim("defective series refused or reported, of 7", caught, 7, ">="))
    finish(chosen, claims, rows, found)


if __name__ == "__main__":
    main()
