"""Differences of two runs as text for a terminal."""

from collections.abc import Iterator, Sequence

from voxfield.runs.differences import Change, Differences
from voxfield.runs.pairing import Comparison

FEW = 20  # patients below which a bootstrap interval is too narrow: of 95 %, it holds 86 at 6 patients, 91 at 15
SHOWN_SUBJECTS = 20


def text_of(found: Differences) -> str:
    """All that differs, section by section; what does not differ is counted."""
    parts = [
        [f"A  {found.a}", f"B  {found.b}", f"   {found.pipeline}"],
        _section("settings", _changes(found.settings), "the same"),
        _section("versions", _changes(found.versions), "the same"),
        _section("subjects", _subjects(found), ""),
        _section("inputs from outside", _inputs(found), "the same"),
        _section("files that both runs have", _outputs(found), "none"),
        _section("numbers, B - A", _numbers(found), "no number is in both runs"),
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def warning_of(found: Differences) -> str:
    """What has to be kept in mind when so many numbers are compared."""
    if not found.paired:
        return (
            "An export without results has means over patients only: nothing can be paired, so there are no intervals."
        )
    tests = [number for number in found.numbers if number.p is not None]
    if not tests:
        return "No number of a patient differs."
    words = (
        f"{len(tests)} numbers differ and are compared at once: without any true difference about "
        f"{max(1, round(0.05 * len(tests)))} of their 95 % intervals would exclude zero by chance. "
        "p is held together over all of them (Holm)."
    )
    few = sum(number.patients < FEW for number in tests)
    if few:
        words += f" {few} of them are known of fewer than {FEW} patients: their intervals are too narrow."
    return words


def _section(head: str, lines: Sequence[str], otherwise: str) -> list[str]:
    return [head, *(f"  {line}" for line in lines or ([otherwise] if otherwise else []))]


def _changes(changes: Sequence[Change]) -> list[str]:
    return [f"{change.name}: {change.old} -> {change.new}" for change in changes]


def _subjects(found: Differences) -> list[str]:
    lines = [f"{found.both} in both, of {found.patients} patients"]
    for name, subjects in (("A", found.only_a), ("B", found.only_b)):
        if subjects:
            more = f" and {len(subjects) - SHOWN_SUBJECTS} more" if len(subjects) > SHOWN_SUBJECTS else ""
            lines.append(f"only in {name}: {', '.join(subjects[:SHOWN_SUBJECTS])}{more}")
    return lines


def _inputs(found: Differences) -> list[str]:
    return [f"{name}: another file for {count} outputs" for name, count in found.inputs]


def _outputs(found: Differences) -> list[str]:
    rows = [("stage", "same bytes", "other bytes")]
    rows += [(outputs.stage, str(outputs.same), str(outputs.differ)) for outputs in found.outputs]
    return list(_table(rows)) if found.outputs else []


def _numbers(found: Differences) -> list[str]:
    moved = [number for number in found.numbers if number.difference or number.low != number.high]
    head = ("", "A", "B", "B - A", "95 % interval", "patients", "p", "")
    rows = [head, *(_row(number) for number in moved)]
    lines = [warning_of(found)] if found.numbers else []
    if moved:
        lines += ["* the interval excludes zero", *_table(rows)]
    if len(moved) < len(found.numbers):
        lines.append(f"{len(found.numbers) - len(moved)} numbers are the same in both runs")
    return lines


def _row(number: Comparison) -> tuple[str, ...]:
    interval = "" if number.low is None or number.high is None else f"{number.low:.4g} to {number.high:.4g}"
    return (
        f"{number.file}: {number.name}", f"{number.a:.5g}", f"{number.b:.5g}", f"{number.difference:+.4g}", interval,
        str(number.patients or ""), "" if number.p is None else f"{number.p:.2g}", "*" * number.excludes_zero,
    )  # fmt: skip


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns of one width; the first is flush left, the others right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        yield "  ".join(cells).rstrip()
