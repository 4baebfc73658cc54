"""The picture of an inversion."""

from __future__ import annotations

import numpy as np

from voxfield.artifacts import GridField, Picture
from voxfield.pde._canvas import picture, sheet
from voxfield.pde.inverse._darcy import Floats

SHOWN = 3


def inversion_figure(permeability: GridField, samples: GridField, points: Floats) -> Picture:
    """Posterior mean with the observed points, standard deviation, and some draws far apart in their order."""
    columns = 2 + SHOWN
    figure, (panels,) = sheet(1, columns, (4.2 * columns, 5.2), "Permeability given the observed pressures")
    draws = samples.values
    limits = float(draws.min()), float(draws.max())
    chosen = np.linspace(0, len(draws) - 1, SHOWN).round().astype(int)
    captions = ["mean", "standard deviation", *(f"draw {number}" for number in chosen)]
    x, y = permeability.axes.values()
    for panel, caption, values in zip(
        panels, captions, [permeability.values, permeability.sd, *draws[chosen]], strict=True
    ):
        spread = caption == "standard deviation"
        low, high = (0.0, (limits[1] - limits[0]) / 2) if spread else limits
        image = panel.pcolormesh(x, y, values.T, cmap="magma" if spread else "viridis", vmin=low, vmax=high)
        panel.set(title=caption, xlabel="x", ylabel="y", aspect="equal")
        figure.colorbar(image, ax=panel, orientation="horizontal")
    panels[0].plot(*points.T, ".", color="tab:red", markersize=3)
    return picture(figure)
