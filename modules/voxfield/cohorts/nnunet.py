"""nnU-Net: `imagesTr/<case>_<channel>.nii.gz`, `labelsTr/<case>.nii.gz`, and what `dataset.json` says of them."""

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxfield.cohorts.scans import Found, Left, Scan
from voxfield.cohorts.tree import Tree
from voxfield.errors import InputError

SETS = {"Tr": "train", "Ts": "test"}
CASE = re.compile(r"(?P<case>.+)_(?P<channel>[0-9]{4})\Z")


def is_nnunet(root: Path) -> bool:
    """Whether a folder is laid out as nnU-Net wants it."""
    return (root / "imagesTr").is_dir()


def read_nnunet(tree: Tree) -> Found:
    """The cases of an nnU-Net folder: the first channel is the image, the others have their own columns."""
    said = _description(tree.root / "dataset.json")
    ending = str(said.get("file_ending", ".nii.gz"))
    channels = _channels(said)
    images, labels, left = _sorted_files(tree, ending)
    names = channels or {number: f"channel_{number}" for case in images.values() for number in case}
    columns = _columns(names)
    scans = []
    for (part, case), files in sorted(images.items()):
        missing = sorted(set(names) - set(files))
        if missing:
            first = next(iter(files.values()))
            left.append(Left(first, f"case {case} lacks channel {', '.join(f'{n:04}' for n in missing)}"))
            continue
        kinds = {columns.get(number, f"channel_{number}"): path for number, path in sorted(files.items())}
        label = labels.pop((part, case), None)
        scans.append(Scan(case, files=kinds | ({"annotation": label} if label else {}), more={"split": SETS[part]}))
    left += [Left(path, f"no image of case {case}") for (_, case), path in sorted(labels.items())]
    first = columns[min(columns)] if columns else ""
    return Found("nnU-Net (imagesTr, labelsTr)", scans, left, _notes(said, scans), first)


def _notes(said: Mapping[str, Any], scans: list[Scan]) -> list[str]:
    notes = ["nnU-Net does not say whose scan a case is; each counts as a patient of its own: correct the column "
             "`patient` where one has several"]  # fmt: skip
    if said.get("labels"):
        notes.append(f"labels in dataset.json: {json.dumps(said['labels'], ensure_ascii=False)} (see io.relabel)")
    training = [scan for scan in scans if scan.more["split"] == "train"]
    bare = [scan.patient for scan in training if "annotation" not in scan.files]
    if bare:
        notes.append(f"{len(bare)} training cases have no label map, such as {bare[0]}")
    promised = said.get("numTraining")
    if isinstance(promised, int) and promised != len(training):
        notes.append(f"dataset.json promises {promised} training cases, {len(training)} are here")
    return notes


def _sorted_files(
    tree: Tree, ending: str
) -> tuple[dict[tuple[str, str], dict[int, str]], dict[tuple[str, str], str], list[Left]]:
    """Images by set and case and channel, label maps by set and case, and what is neither."""
    images: dict[tuple[str, str], dict[int, str]] = defaultdict(dict)
    labels: dict[tuple[str, str], str] = {}
    left: list[Left] = []
    for path in tree.files:
        folder, _, name = path.partition("/")
        part = folder[-2:]
        if folder[:-2] not in ("images", "labels") or part not in SETS:
            if name:
                left.append(Left(path, "lies in none of imagesTr, labelsTr, imagesTs, labelsTs"))
            continue
        stem = name.removesuffix(ending)
        match = CASE.match(stem)
        if stem == name or "/" in name:
            left.append(Left(path, f"its name does not end in {ending}" if stem == name else "lies a folder too deep"))
        elif folder.startswith("labels"):
            labels[part, stem] = path
        elif match:
            images[part, match["case"]][int(match["channel"])] = path
        else:
            left.append(Left(path, f"its name has no channel, such as _0000{ending}"))
    return images, labels, left


def _description(place: Path) -> Mapping[str, Any]:
    if not place.is_file():
        return {}
    try:
        said = json.loads(place.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InputError(f"is no JSON: {error}", file=place) from None
    if not isinstance(said, dict):
        raise InputError("holds no JSON object; expected that of nnU-Net", file=place)
    return said


def _channels(said: Mapping[str, Any]) -> dict[int, str]:
    """Names of the channels by number: `channel_names`, or `modality` in the first version."""
    told = said.get("channel_names") or said.get("modality") or {}
    try:
        return {int(number): str(name) for number, name in told.items()}
    except (AttributeError, ValueError):
        raise InputError(f"dataset.json: channel names {told!r}; expected a name by number") from None


def _columns(names: Mapping[int, str]) -> dict[int, str]:
    """A column for each channel; channels of one name are counted."""
    plain = {number: re.sub(r"\W+", "_", name) for number, name in names.items()}
    called = list(plain.values())
    return {number: name if called.count(name) == 1 else f"{name}_{number}" for number, name in plain.items()}
