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

Standard library only, since every start of Snakemake comes through here.
"""

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from voxfield.errors import InputError

Rows = Mapping[str, Mapping[str, str]]


class Batches:
    """The batches of one rule in a run folder, settled and written down when they are asked for.

    rule     name of the rule; `batches/<rule>/<batch>.tsv` is the table of a batch for `--each`, and
             `<batch>.done.tsv` the manifest that the rule declares
    rows     subject -> columns of its row, for the whole cohort
    product  a file that the rule makes of every subject; a manifest without its products is worth nothing
    size     scans of a batch
    lost     subjects of whom this rule, or one that leads to it, has failed: they are in no batch
    """

    def __init__(
        self, rule: str, rows: Rows, product: str, *, size: int = 8, lost: Collection[str] = (), run: Path = Path()
    ) -> None:
        self._place = Path("batches", rule)
        self._folder = run / self._place
        self._members = self._known({subject for subject in rows if subject not in lost}, run / product)
        placed = {subject for members in self._members.values() for subject in members}
        new = [subject for subject in rows if subject not in placed and subject not in lost]
        number = max((int(batch) for batch in self._members), default=0)
        for start in range(0, len(new), size):
            number += 1
            self._members[f"{number:03}"] = new[start : start + size]
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

    def _known(self, live: Collection[str], product: Path) -> dict[str, list[str]]:
        """The batches that an earlier plan made, without those who failed or left the cohort since."""
        found: dict[str, list[str]] = {}
        for table in sorted(set(self._folder.glob("*.tsv")) - set(self._folder.glob("*.done.tsv"))):
            written = _subjects(table)
            found[table.stem] = members = [subject for subject in written if subject in live]
            manifest = self._folder / f"{table.stem}.done.tsv"
            # A shorter manifest is being written just now, by a job of a run that this plan belongs to.
            over = manifest.is_file() and len(_subjects(manifest)) >= len(written)
            if over and not all(Path(str(product).format(subject=subject)).exists() for subject in members):
                manifest.unlink()
        return found

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
    text = _text(rows)
    if not table.is_file() or table.read_text(encoding="utf-8") != text:
        table.parent.mkdir(parents=True, exist_ok=True)
        partial = table.with_suffix(".tmp")
        partial.write_text(text, encoding="utf-8")
        partial.replace(table)


def _subjects(table: Path) -> list[str]:
    with table.open(newline="", encoding="utf-8") as stream:
        return [row["subject"] for row in csv.DictReader(stream, delimiter="\t")]


def _text(rows: Sequence[Mapping[str, str]]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
