"""Centerlines, repair and metrics of trees: how exact, against the plain way, and at what cost.

Ours against the classical way on the same masks. Tubes: length and radius error against Lee's skeleton (sum
of its steps) with the distance transform as radius. Throats: degree of stenosed tubes by NASCET,
against the same ratio of distances to the wall. Gaps: a fork whose lumen is interrupted, tree length
detected after `segmentation.repair` against keeping the largest component. Metrics: CPU seconds of all
metrics of one call on a mask of 256^3, beside those of MONAI's HD95 alone.
"""

import sys
import time
import warnings
from pathlib import Path
from typing import Any

from _common import ROOT, Claim, cpu_ratio, finish, options

sys.path.insert(0, str(Path(ROOT) / "tests"))


def tubes(seeds: int, radii: list[float]) -> list[dict[str, Any]]:
    """Errors on bent tubes in random directions, isotropic and anisotropic voxels."""
    import edt
    import numpy as np

    from segmentation.lumens import bent_tube, draw
    from voxfield.artifacts import LabelMap
    from voxfield.segmentation import centerline
    from voxfield.segmentation.metrics._foreground import foreground
    from voxfield.segmentation.metrics._tree import voxel_lengths
    from voxfield.segmentation.tree._thinning import thin

    rows = []
    for name, spacing in (("0.7 mm", np.full(3, 0.7)), ("0.5 x 0.5 x 0.8 mm", np.array([0.5, 0.5, 0.8]))):
        for voxels in radii:
            found = []
            for seed in range(2 * seeds):
                tube = bent_tube(voxels * spacing.max(), 25 * voxels * spacing.max(), np.random.default_rng(seed))
                lumen = draw([tube], spacing)
                started = time.process_time()
                result = centerline(LabelMap(lumen.mask.astype(np.uint8), lumen.affine))
                seconds = time.process_time() - started
                line = result.centerline
                offset, true = lumen.truth_at(line.points)
                skeleton = thin(foreground(lumen.mask))
                inner = edt.edt(lumen.mask, anisotropy=tuple(spacing))[tuple(skeleton.T)]
                _, plain = lumen.truth_at(skeleton * spacing + lumen.affine[:3, 3])
                found.append(
                    (
                        abs(sum(result.branches.column("length_mm")) / tube.length - 1),
                        abs(voxel_lengths(skeleton, spacing).sum() / tube.length - 1),
                        np.abs(line.radii - true).mean() / spacing.max(),
                        np.abs(inner - plain).mean() / spacing.max(),
                        offset.mean() / spacing.max(),
                        seconds,
                    )
                )
            columns = (
                "length error", "length error, skeleton", "radius error, voxels", "radius error, EDT",
                "offset, voxels", "CPU s",
            )  # fmt: skip
            mean = np.mean(found, axis=0).tolist()
            rows.append({"case": f"tube of {voxels:g} voxels, {name}"} | dict(zip(columns, mean, strict=True)))
    return rows


def throats(seeds: int) -> list[dict[str, Any]]:
    """Degree of narrowing of stenosed tubes, by NASCET, against the smallest and the median distance to the wall."""
    import edt
    import numpy as np

    from segmentation.lumens import Vessel, bent_tube, draw
    from voxfield.artifacts import LabelMap
    from voxfield.segmentation import centerline, stenosis
    from voxfield.segmentation.metrics._foreground import foreground
    from voxfield.segmentation.tree._thinning import thin

    found = []
    for seed in range(10 * seeds):
        rng = np.random.default_rng(seed)
        spacing = np.full(3, 0.7) if seed % 2 else np.array([0.5, 0.5, 0.8])
        radius = rng.uniform(2, 3.5) * spacing.max()
        degree = min(rng.uniform(0.2, 0.75), 1 - 0.75 * spacing.max() / radius)
        way = np.linspace(0, 16, 2000)
        bell = np.where(np.abs(way - 6) < 3, (1 + np.cos(np.pi * (way - 6) / 3)) / 2, 0)
        curve = bent_tube(radius, 16 * radius, rng).curve
        lumen = draw([Vessel(curve, radius * (1 - degree * bell))], spacing, margin=2)
        mask = LabelMap(lumen.mask.astype(np.uint8), lumen.affine)
        line = centerline(mask, roots_mm=(tuple(curve[0].tolist()),)).centerline
        (row,) = stenosis(line, voxel_mm=float(spacing.max())).stenoses.rows()
        if row["degree_percent"] is None:
            continue
        skeleton = thin(foreground(lumen.mask))
        inner = edt.edt(lumen.mask, anisotropy=tuple(spacing))[tuple(skeleton.T)]
        # Its ends come near the wall without a throat.
        places = skeleton * spacing + lumen.affine[:3, 3]
        ends = np.linalg.norm(places[:, None] - curve[[0, -1]], axis=2).min(axis=1)
        inner = inner[ends > 2 * radius]
        error, sd = row["degree_percent"] / 100 - degree, row["sd_percent"] / 100
        found.append((abs(error), abs(1 - inner.min() / np.median(inner) - degree), abs(error) <= 1.96 * sd))
    mean = np.mean(found, axis=0).tolist()
    columns = ("degree error", "degree error, EDT", "inside 95 %")
    case = f"stenosed tubes, {len(found)} of {10 * seeds} gradable"
    return [{"case": case} | dict(zip(columns, mean, strict=True))]


def gaps(seeds: int) -> list[dict[str, Any]]:
    """Tree length detected of an interrupted fork, repaired and with its largest component only."""
    import numpy as np

    from segmentation.lumens import draw, fork
    from voxfield.artifacts import Image, LabelMap
    from voxfield.segmentation import evaluate, repair
    from voxfield.segmentation.metrics._topology import label_components

    lumen = draw(fork(), np.full(3, 0.7))
    reference = LabelMap(lumen.mask.astype(np.uint8), lumen.affine)
    found = []
    for seed in range(2 * seeds):
        rng = np.random.default_rng(seed)
        centres = np.stack([v.curve[int(rng.uniform(0.4, 0.75) * len(v.curve))] for v in lumen.vessels])
        points = np.argwhere(lumen.mask) * 0.7 + lumen.affine[:3, 3]
        hole = (np.linalg.norm(points[:, None] - centres, axis=2) < 3.0).any(axis=1)
        probability = np.where(lumen.mask, 0.9, 0.02)
        probability[tuple(np.argwhere(lumen.mask)[hole].T)] = 0.35
        mask = probability > 0.5
        speck = rng.integers(0, mask.shape, (30, 3))
        mask[tuple(speck.T)] = True
        broken = LabelMap(mask.astype(np.uint8), lumen.affine)
        done = repair(Image(probability.astype(np.float32), lumen.affine), broken, trees=1)
        parts, _ = label_components(mask)
        largest = parts == np.bincount(parts[parts > 0]).argmax()
        ours = evaluate(done.repaired, reference).metrics.values
        plain = evaluate(LabelMap(largest.astype(np.uint8), lumen.affine), reference).metrics.values
        lost = 1 - done.repaired.data[mask & lumen.mask].astype(bool).mean()
        found.append(
            (ours["tree_length_detected"], plain["tree_length_detected"], lost, ours["betti_error"]["components"])
        )
    mean = np.mean(found, axis=0).tolist()
    columns = ("tree length detected", "tree length, largest component", "true voxels lost", "components error")
    return [{"case": "fork with three gaps of 6 mm and 30 specks"} | dict(zip(columns, mean, strict=True))]


def metric_cost(repeats: int, factor: int) -> list[dict[str, Any]]:
    """CPU seconds of all metrics of one call, and their ratio to MONAI's HD95 alone."""
    import numpy as np
    import torch

    from segmentation.lumens import draw, fork
    from voxfield.artifacts import LabelMap
    from voxfield.segmentation import evaluate

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from monai.metrics import compute_hausdorff_distance

    small = np.zeros((64, 64, 64), bool)
    mask = draw(fork(), np.ones(3)).mask[:64, :64, :64]
    small[tuple(slice(0, n) for n in mask.shape)] = mask
    theirs = np.kron(small, np.ones((factor,) * 3, bool))
    ours = theirs & np.roll(theirs, 1, axis=0)
    affine = np.diag([0.3, 0.3, 0.3, 1])
    pair = [LabelMap(m.astype(np.uint8), affine) for m in (ours, theirs)]
    tensors = [torch.tensor(np.stack([~m, m])[None]).float() for m in (ours, theirs)]

    def monai() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compute_hausdorff_distance(*tensors, percentile=95, spacing=[0.3] * 3)

    started = time.process_time()
    evaluate(*pair)
    seconds = time.process_time() - started
    ratio = cpu_ratio(lambda: evaluate(*pair), monai, repeats)
    return [{"case": f"all metrics, {64 * factor}^3", "CPU s": seconds, "CPU s / MONAI HD95": ratio}]


def main() -> None:
    chosen = options(__doc__ or "")
    seeds = 1 if chosen.quick else chosen.seeds
    rows = tubes(seeds, [1.0, 2.5] if chosen.quick else [1.0, 1.5, 2.5, 4.0])
    rows += throats(seeds) + gaps(seeds) + metric_cost(3 if chosen.quick else 9, 2 if chosen.quick else 4)
    resolved = [row for row in rows if row["case"].startswith("tube") and "of 1 voxels" not in row["case"]]
    detected = next(row for row in rows if "tree length detected" in row)
    graded = next(row for row in rows if "degree error" in row)
    claims = [
        Claim("radius error of tubes, voxels", max(r["radius error, voxels"] for r in resolved), 0.25, "<="),
        Claim("length error of tubes", max(r["length error"] for r in resolved), 0.02, "<="),
        Claim("error of the degree of stenosis", graded["degree error"], 0.03, "<="),
        Claim("tree length detected after repair", detected["tree length detected"], 0.75, ">="),
        Claim("true voxels lost by repair", detected["true voxels lost"], 0.01, "<="),
        Claim("all metrics of a mask, CPU s", rows[-1]["CPU s"], 5.0, "<="),
    ]
    finish(chosen, claims, rows)


if __name__ == "__main__":
    main()
