"""The scans of a cohort as a training run sees them: paired, and brought to the model's grid one by one."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from voxfield.artifacts import Cohort, Image, LabelMap, check_pair
from voxfield.errors import InputError
from voxfield.segmentation import _inputs, _patches, _preprocess
from voxfield.segmentation._augment import UNANNOTATED
from voxfield.segmentation._plan import Plan
from voxfield.segmentation._region import WHOLE, Region, chest
from voxfield.segmentation._settings import Margin

TRAINING, VALIDATION = "train", "val"


@dataclass(frozen=True)
class Scan:
    """One row of a cohort with its image and its mask.

    lung         of a chest CT, where the network is told about it
    reader       number of whoever annotated, in the order of `readers`
    sparse       whether the row says that only a part of the mask was annotated
    unannotated  value of voxels that nobody looked at; None where all were looked at
    margin_mm    (3,) around the lung, outside of which nothing is looked at; None for the whole scan
    """

    subject: str
    patient: str
    image: Image
    mask: LabelMap
    sparse: bool
    unannotated: int | None
    lung: LabelMap | None = None
    reader: int = 0
    margin_mm: Margin | None = None

    @cached_property
    def region(self) -> Region:
        """Where it is looked."""
        return WHOLE if self.lung is None or self.margin_mm is None else chest(self.lung, self.margin_mm)

    def intensities(self) -> NDArray[np.float32]:
        """(x, y, z) of the region."""
        return self.region.cut(voxels(self.image))

    def labels(self) -> NDArray[Any]:
        """(x, y, z) of the region."""
        return self.region.cut(self.mask.data)

    def release(self) -> None:
        """Let go of the voxels."""
        for file in (self.image, self.mask, self.lung):
            if file is not None:
                file.release()


def split(
    cohort: Cohort,
    images: Sequence[Image],
    masks: Sequence[LabelMap],
    lungs: Sequence[LabelMap] = (),
    margin_mm: Margin | None = None,
) -> dict[str, list[Scan]]:
    """Scans to train on and to validate on, by the column `split`; without it all are trained on.

    Rows of any other split are left alone: their files are not read.
    """
    if not len(cohort) == len(images) == len(masks):
        raise InputError(
            f"the cohort has {len(cohort)} rows, but {len(images)} images and {len(masks)} masks are given; "
            "expected one of each for every row, in the order of the rows",
            file=cohort.file,
        )
    if lungs and len(lungs) != len(cohort):
        raise InputError(
            f"the cohort has {len(cohort)} rows, but {len(lungs)} lungs are given; expected one for every row, or none",
            file=cohort.file,
        )
    names = readers(cohort)
    parts: dict[str, list[Scan]] = {TRAINING: [], VALIDATION: []}
    own_lungs: Sequence[LabelMap | None] = lungs or [None] * len(cohort)
    for row, patient, image, mask, lung in zip(cohort.rows(), cohort.patients, images, masks, own_lungs, strict=True):
        part = row.get("split") or TRAINING
        if part in parts:
            check_pair(image, mask)
            if lung is not None:
                check_pair(image, lung)
            sparse, value = row.get("annotation") == "sparse", _unannotated(row, mask)
            reader = names.index(row["reader"]) if names and part == TRAINING else 0
            parts[part].append(Scan(str(row["subject"]), patient, image, mask, sparse, value, lung, reader, margin_mm))
    if not parts[TRAINING]:
        raise InputError("no row has the split 'train'; expected at least one to train on", file=cohort.file)
    shared = {s.patient for s in parts[TRAINING]} & {s.patient for s in parts[VALIDATION]}
    if shared:
        raise InputError(
            f"patient {min(shared)!r} is in the splits 'train' and 'val': a leak; a patient stays within one split",
            file=cohort.file,
        )
    return parts


def readers(cohort: Cohort) -> list[str]:
    """Who annotated the rows of the split "train", sorted; empty without the column `reader`."""
    rows = [(number, row) for number, row in enumerate(cohort.rows(), start=1) if "reader" in row]
    trained = [(number, row["reader"]) for number, row in rows if (row.get("split") or TRAINING) == TRAINING]
    for number, reader in trained:
        if reader is None:
            raise InputError(f"row {number} has no reader; expected one in every row", file=cohort.file)
    return sorted({reader for _, reader in trained})


def _unannotated(row: Mapping[str, Any], mask: LabelMap) -> int | None:
    """The unannotated value by the cohort, or else by the mask; refuses two different ones."""
    told = row.get("unannotated")
    if told is None or mask.unannotated in (None, int(told)):
        return mask.unannotated if told is None else int(told)
    raise InputError(
        f"declares {mask.unannotated} as its unannotated value, the cohort {told} for subject {row['subject']}; "
        "expected one value",
        file=mask.file,
    )


def voxels(image: Image) -> NDArray[np.float32]:
    """The intensities (x, y, z) of a scan, as float32; raises InputError where they can not be trained on."""
    data = image.data
    if data.ndim != 3:
        raise InputError(f"has {data.ndim} dimensions, {data.shape}; expected a volume (x, y, z)", file=image.file)
    if not np.isfinite(data).all():
        raise InputError("holds NaN or infinite voxels; expected finite intensities", file=image.file)
    return data.astype(np.float32, copy=False)


class Scans:
    """Scans on the model's grid, prepared when they are asked for and kept while memory allows.

    limit_mb  memory that prepared scans may take; at least one is kept
    tubes     whether to make the widened skeleton of every target, for losses that ask for it
    """

    def __init__(self, scans: Sequence[Scan], plan: Plan, limit_mb: int, *, tubes: bool = False) -> None:
        self._scans, self._plan, self._tubes = scans, plan, tubes
        self._limit = limit_mb * 1_000_000
        self._kept: OrderedDict[int, _patches.Volume] = OrderedDict()

    def __len__(self) -> int:
        """Number of scans."""
        return len(self._scans)

    def __getitem__(self, index: int) -> _patches.Volume:
        """Scan number `index`, prepared."""
        if index in self._kept:
            self._kept.move_to_end(index)
            return self._kept[index]
        volume = prepare(self._scans[index], self._plan, with_tube=self._tubes)
        held = sum(v.nbytes for v in self._kept.values()) + volume.nbytes
        while self._kept and held > self._limit:
            held -= self._kept.popitem(last=False)[1].nbytes
        self._kept[index] = volume
        return volume


def prepare(scan: Scan, plan: Plan, *, with_tube: bool = False) -> _patches.Volume:
    """Reorient, resample and normalise one scan; its labels become class indices, 255 where nobody looked."""
    data = plan.normalisation.apply(scan.intensities())
    frame = _preprocess.frame(data.shape, scan.image.affine, plan.spacing_mm)
    lung = None if scan.lung is None else scan.region.cut(scan.lung.data)
    channels = _inputs.of_scan(data, frame, plan.extras, lung)
    target = frame.labels_to_model(torch.from_numpy(class_indices(scan, plan)))
    scan.release()
    skeleton = None
    if with_tube:
        from voxfield.segmentation.losses._tube import tube  # scikit-image: only where a loss asks for it

        skeleton = torch.from_numpy(tube(target.numpy(), UNANNOTATED))
    return _patches.volume(channels, target, skeleton, scan.reader)


def class_indices(scan: Scan, plan: Plan) -> NDArray[np.uint8]:
    """Class index of every voxel (x, y, z) of the region's box.

    What lies outside the region, and a label that the model does not know, counts as unannotated.
    """
    data = scan.labels()
    result = np.full(data.shape, UNANNOTATED, dtype=np.uint8)
    for index, value in enumerate((0, *plan.labels)):
        if value != scan.unannotated:
            result[data == value] = index
    return np.where(scan.region.inside, result, np.uint8(UNANNOTATED))
