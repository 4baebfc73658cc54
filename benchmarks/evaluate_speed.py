"""The whole measurement of a mask, prediction and reference together, against the plain sum of the fastest libraries.

A branching tree and a prediction of it: thinner by a voxel on some sides, with gaps and specks. Ours is one call of
`segmentation.evaluate`. The plain sum is what the same figures cost at least when each is asked of the fastest
library that installs from a registry, on the box around both masks: Lee's skeletons (scikit-image), components by
26 and 6 and of the background (cc3d), Euler numbers (scikit-image), filled holes (fill_voids), surfaces and their
distances by a k-d tree, and the nearest branch of each voxel by another (scipy), where ATM'22 takes a distance
transform of the volume. The bookkeeping between them is not counted, and no distance transform is. CPU seconds.
"""

import time
from collections.abc import Callable
from typing import Any

from _common import Claim, cpu_ratio, finish, options
from voxfield.records import peak_memory_mb

Masks = Any  # (x, y, z) bool arrays; numpy is imported after the threads are set


def tree(shape: tuple[int, int, int], radius: float, generations: int, seed: int) -> Masks:
    """A trunk along z that forks `generations` times, as balls along straight branches; radius of the trunk, voxels."""
    import numpy as np

    rng = np.random.default_rng(seed)
    mask, size = np.zeros(shape, bool), np.array(shape)

    def ball(centre: Any, r: float) -> None:
        low, high = (
            np.maximum(np.floor(centre - r).astype(int), 0),
            np.minimum(np.ceil(centre + r).astype(int) + 1, size),
        )
        if (low < high).all():
            box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            axes = np.ogrid[box]
            mask[box] |= sum((a - c) ** 2 for a, c in zip(axes, centre, strict=True)) <= r * r

    def grow(start: Any, heading: Any, length: float, r: float, left: int) -> None:
        for along in np.arange(0, length, 0.5):
            ball(start + along * heading, r)
        for _ in range(2 if left else 0):
            aside = rng.normal(size=3)
            aside -= (aside @ heading) * heading
            aside /= np.linalg.norm(aside)
            angle = np.deg2rad(rng.uniform(25, 45))
            turned = np.cos(angle) * heading + np.sin(angle) * aside
            end = start + length * heading
            beyond = end + 0.8 * length * turned
            if ((beyond < 4) | (beyond > size - 4)).any():  # back towards the middle
                turned = (size / 2 - end) / np.linalg.norm(size / 2 - end) + 0.7 * aside
                turned /= np.linalg.norm(turned)
            grow(end, turned, 0.82 * length, max(0.79 * r, 1.0), left - 1)

    grow(np.array([shape[0] / 2, shape[1] / 2, 6.0]), np.array([0.0, 0, 1]), 0.24 * shape[2], radius, generations)
    return mask


def damaged(mask: Masks, seed: int) -> Masks:
    """A prediction of the tree: a voxel less on some sides, 12 gaps of 7 voxels, 60 specks."""
    import numpy as np

    rng = np.random.default_rng(seed)
    found = mask & np.roll(mask, 1, axis=0) & np.roll(mask, 1, axis=1)
    places = np.argwhere(mask)
    for place in places[rng.integers(0, len(places), 12)]:
        found[tuple(slice(max(p - 3, 0), p + 4) for p in place)] = False
    found[tuple(rng.integers(0, mask.shape, (60, 3)).T)] = True
    return found


def library_pieces(prediction: Masks, reference: Masks) -> dict[str, Callable[[], object]]:
    """One call of the fastest library for each piece of the measurement."""
    import cc3d
    import fill_voids
    import numpy as np
    from scipy.ndimage import binary_erosion
    from scipy.spatial import cKDTree
    from skimage.measure import euler_number
    from skimage.morphology import skeletonize

    both = np.argwhere(prediction | reference)
    box = tuple(slice(max(a - 1, 0), b + 2) for a, b in zip(both.min(axis=0), both.max(axis=0), strict=True))
    masks = [np.ascontiguousarray(mask[box]) for mask in (prediction, reference)]
    skeleton = np.argwhere(skeletonize(masks[1], method="lee"))

    def components(connectivity: int, background: bool = False) -> list[int]:
        volumes = [np.pad(~m, 1, constant_values=True) if background else m for m in masks]
        return [cc3d.connected_components(v, connectivity=connectivity, return_N=True, binary_image=True)[1]
                for v in volumes]  # fmt: skip

    def surfaces() -> tuple[Any, Any]:
        ours, theirs = (np.argwhere(m & ~binary_erosion(m)).astype(float) for m in masks)
        return cKDTree(theirs).query(ours)[0], cKDTree(ours).query(theirs)[0]

    return {
        "Lee's skeletons, scikit-image": lambda: [skeletonize(m, method="lee") for m in masks],
        "components by 26, cc3d": lambda: components(26),
        "components by 6, cc3d": lambda: components(6),
        "components of the background, cc3d": lambda: components(6, background=True),
        "Euler numbers, scikit-image": lambda: [euler_number(m, connectivity=3) for m in masks],
        "filled holes, fill_voids": lambda: fill_voids.fill(masks[1]),
        "surface distances, scipy": surfaces,
        "nearest branch of each voxel, scipy": lambda: cKDTree(skeleton).query(np.argwhere(masks[1])),
        "overlap, numpy": lambda: [np.count_nonzero(m) for m in (*masks, masks[0] & masks[1])],
    }


def cpu_seconds(call: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    started = time.process_time()
    call()
    return time.process_time() - started


def main() -> None:
    chosen = options(__doc__ or "")
    import numpy as np

    from voxfield.artifacts import LabelMap
    from voxfield.segmentation import evaluate

    def measured(prediction: Masks, reference: Masks) -> Callable[[], object]:
        pair = [LabelMap(mask.astype(np.uint8), np.diag([0.7, 0.7, 0.7, 1])) for mask in (prediction, reference)]
        return lambda: evaluate(*pair)

    side = 128 if chosen.quick else 256
    reference = tree((side,) * 3, side / 32, 6 if chosen.quick else 8, seed=0)
    prediction = damaged(reference, seed=1)
    ours = measured(prediction, reference)
    first = cpu_seconds(ours)
    pieces = library_pieces(prediction, reference)
    rows = [
        {"case": f"{side}^3, {name}", "CPU s": min(cpu_seconds(call) for _ in range(3))}
        for name, call in pieces.items()
    ]
    rows.append({"case": f"{side}^3, plain sum", "CPU s": sum(row["CPU s"] for row in rows)})
    rows.append(
        {
            "case": f"{side}^3, ours, first call of a process, imports included",
            "CPU s": first,
            "foreground": float(reference.mean()),
        }
    )
    seconds = min(cpu_seconds(ours) for _ in range(3))
    rows.append({"case": f"{side}^3, ours", "CPU s": seconds})
    ratio = cpu_ratio(ours, lambda: [call() for call in pieces.values()], 3 if chosen.quick else 9)
    rows[-1]["share of the plain sum"] = ratio
    claims = [Claim(f"measurement of {side}^3 over the plain sum", ratio, 0.5, "<=")]
    if not chosen.quick:
        claims.append(Claim("measurement of 256^3, CPU s", seconds, 1.5, "<="))
        reference = tree((512, 512, 600), 11.4, 8, seed=0)
        ours = measured(damaged(reference, seed=1), reference)
        large = cpu_seconds(ours)
        peak = peak_memory_mb()["host"]
        rows.append(
            {
                "case": "512 x 512 x 600, ours",
                "CPU s": large,
                "foreground": float(reference.mean()),
                "peak MB of the script": peak,
            }
        )
        claims.append(Claim("measurement of 512 x 512 x 600, CPU s", large, 10.0, "<="))
    finish(chosen, claims, rows)


if __name__ == "__main__":
    main()
