"""Scans that go through one process together, so that its start and the reading of a model are paid for once.

A scan stays in the batch that it first came into, and a finished batch takes nobody in: scans that come later, or again
after they had failed, make batches of their own. So a growing cohort touches nothing that is finished, and the rules
that follow can speak of one scan each.

    SEGMENTED = Batches("segment", {s: {"image": image_of(s)} for s in ROWS}, "sub-{subject}/m.nii.gz")

    rule segment:
        input: images=lambda w: [image_of(s) for s in SEGMENTED.members(w.batch)], model="models/vessel.safetensors"
        output: manifest="batches/segment/{batch}.done.tsv"
        shell: stages.each("segmentation.predict", "model", {"image": "{image}", "out-mask": "sub-{subject}/m.nii.gz"})

    rule repair:
        input: segmented=lambda w: SEGMENTED.manifest(w.subject)

`Chain` (see there) are batches that take each scan through several stages.

Standard library only, since every start of Snakemake comes through here.
"""

import csv
import io
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from voxfield.errors import InputError

Rows = Mapping[str, Mapping[str, str]]
# Snakemake as an executor starts it for one job, while others are at work: the batches are those of the plan.
JOB_OF_EXECUTOR = frozenset({"remote", "subprocess"})
REMOVED = ".removed"  # behind the name of a file that `keep` let go: its record, so that it still counts as made


class Batches:
    """The batches of one rule in a run folder, settled and written down when they are asked for.

    rule      name of the rule; `batches/<rule>/<batch>.tsv` is the table of a batch for `--each`, and
              `<batch>.done.tsv` the manifest that the rule declares
    rows      subject -> columns of its row, for the whole cohort
    products  files that each step of the rule makes of every subject; a manifest without them is worth nothing
    size      scans of a batch
    spread    make that many batches at least where there are scans for them
    lost      subjects of whom this rule, or one that leads to it, has failed: they are in no batch
    """

    def __init__(
        self,
        rule: str,
        rows: Rows,
        products: str | Mapping[str, Sequence[str]],
        *,
        size: int = 8,
        spread: int = 1,
        lost: Collection[str] = (),
        run: Path = Path(),
    ) -> None:
        self._place = Path("batches", rule)
        self._run = run
        self._products = {"": (products,)} if isinstance(products, str) else products
        self._folder = run / self._place
        self._names = cache(_names)  # a folder is read once for all that is asked of it
        planned = not JOB_OF_EXECUTOR & set(sys.argv)
        live = {subject for subject in rows if subject not in lost}
        self._members = self._known(live) if planned else self._written()
        if planned:
            self._place_new([subject for subject in rows if subject in live], size, spread)
            self._write(rows)
        self._batch = {subject: batch for batch, members in self._members.items() for subject in members}

    def members(self, batch: str) -> list[str]:
        """Subjects of a batch."""
        return self._members[batch]

    def manifest(self, subject: str) -> str:
        """Where it will be written down that the batch of a subject is done."""
        if subject not in self._batch:
            raise InputError(f"subject {subject!r} is in no batch: it failed, or is not of the cohort")
        return (self._place / f"{self._batch[subject]}.done.tsv").as_posix()

    def manifests(self, subjects: Iterable[str]) -> list[str]:
        """The manifests of the batches of these subjects, each once."""
        return list(dict.fromkeys(self.manifest(subject) for subject in subjects))

    def _place_new(self, live: Sequence[str], size: int, spread: int) -> None:
        """Batches for those who are in none."""
        placed = {subject for members in self._members.values() for subject in members}
        new = [subject for subject in live if subject not in placed]
        number = max((int(batch) for batch in self._members), default=0)
        step = max(1, min(size, len(new) // spread))
        for start in range(0, len(new), step):
            number += 1
            self._members[f"{number:03}"] = new[start : start + step]

    def _written(self) -> dict[str, list[str]]:
        """The subjects of every batch as the last plan wrote them down."""
        tables = set(self._folder.glob("*.tsv")) - set(self._folder.glob("*.done.tsv"))
        return {t.stem: [row["subject"] for row in _read(t)] for t in sorted(tables, key=lambda t: int(t.stem))}

    def _known(self, live: Collection[str]) -> dict[str, list[str]]:
        """The batches that an earlier plan made, without those who failed or left the cohort since."""
        written = self._written()
        last = {subject: batch for batch, subjects in written.items() for subject in subjects}
        found: dict[str, list[str]] = {}
        for batch, subjects in written.items():
            found[batch] = [subject for subject in subjects if subject in live]
            manifest = self._folder / f"{batch}.done.tsv"
            lines = _read(manifest) if manifest.is_file() else []
            # A scan that is to be made anew on its own comes into a second batch, and belongs to that. It stays in the
            # first one's table as well: with other inputs Snakemake would run that again.
            own = [subject for subject in found[batch] if last[subject] == batch]
            if not all(self._holds(line) for line in lines if line["subject"] in own):
                manifest.unlink()
        return found

    def _holds(self, line: Mapping[str, str]) -> bool:
        """Whether what a manifest says of a step on a scan is still so."""
        subject, step = line["subject"], line.get("step", "")
        if line["outcome"] not in {"done", "skipped"}:
            return True
        made = (self._run / pattern.format(subject=subject) for pattern in self._products.get(step, ()))
        return all(not {path.name, path.name + REMOVED}.isdisjoint(self._names(path.parent)) for path in made)

    def _write(self, rows: Rows) -> None:
        """Write the tables, and remove those of batches that lost all members."""
        for batch, members in list(self._members.items()):
            table = self._folder / f"{batch}.tsv"
            if not members:
                del self._members[batch]
                table.unlink(missing_ok=True)
                continue
            write_table(table, [{"subject": subject, **rows[subject]} for subject in members])


def write_table(table: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write a table that the plan makes, where it changed, so that a plan without news touches no file."""
    write_planned(table, _text(rows))


def write_planned(place: Path, text: str) -> None:
    """Write a file that the plan makes, where it changed."""
    if not place.is_file() or place.read_text(encoding="utf-8") != text:
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_suffix(".tmp")
        partial.write_text(text, encoding="utf-8")
        partial.replace(place)


def from_table(path: str) -> str:
    """A file of the run, or one elsewhere, as a table in `batches/` names it."""
    return path if path.startswith("/") else f"../{path}"


def _names(folder: Path) -> frozenset[str]:
    return frozenset(path.name for path in folder.iterdir()) if folder.is_dir() else frozenset()


def _read(table: Path) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def _text(rows: Sequence[Mapping[str, str]]) -> str:
    buffer = io.StringIO()
    columns = list(dict.fromkeys(column for row in rows for column in row))
    writer = csv.DictWriter(buffer, columns, restval="n/a", delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
