"""What stands in the sections of a subject's page, and one honest sentence for each thing that does not."""

from collections.abc import Mapping, Sequence
from typing import Any

from voxfield.artifacts import Grid
from voxfield.report._anatomy import projections, slices
from voxfield.report._facts import TRUTH_STAGES, comparison, grade_text, stenosis_text, truth_tables
from voxfield.report._flow import speed_rows
from voxfield.report._material import Material
from voxfield.report._numbers import fixed, percent, pressure_with_sd, significant, unit_text
from voxfield.report._page import LAST, not_finished, tile
from voxfield.report._pressure import along_vessel, pressure_pictures
from voxfield.report._sheet import MOST_TAGS, Sheet
from voxfield.report._tables import BRANCHES, BRIDGES, STENOSES, drop_table, estimate_table, known_columns
from voxfield.report._tree import BRIDGE, tree_pictures
from voxfield.report._view import OBLIQUE_DEGREES

Content = dict[str, Any]
CONTENTS = (
    ("scan", "Scan and lumen"), ("vessels", "Vessels"), ("velocity", "Velocity"), ("pressure", "Pressure"),
    ("grade", "Grade"),
)  # fmt: skip
FLOW_WORDS = {  # row of pictures -> heading, caption
    "speed": (
        "",
        "Speed of the posterior mean in colour over the scan, in the slices with most lumen. Arrows lie along the part "
        "of the velocity that is in the plane; their length goes with its size, alike in all three pictures.",
    ),
    "sd": (
        "How sure it is",
        "Standard deviation of the velocity: the root of the summed variances of its three components.",
    ),
    "fastest": ("Through the whole lumen", "The fastest voxel along every line of sight."),
}
SECTION_OF = {  # where a page tells that a stage did not finish
    "pde.pressure": "pressure",
    "grading.features": "grade",
    "grading.predict": "grade",
    **dict.fromkeys(TRUTH_STAGES, "truth"),
}
NO_TRUTH = "No truth is known for this subject, so nothing on this page was compared with one."
HIDDEN = "Without a lumen nothing of the scan is shown, since a picture of a whole head shows a face (`around_mm`)."
COVERAGE_WORDS = "marginal coverage under exchangeable patients"


def scan_section(material: Material, sheet: Sheet) -> Content:
    """Slices and projections of the scan."""
    tilt = material.frame.tilt
    orientation = "Letters are those of the body; the patient's right is on the left of axial and coronal pictures."
    if tilt > OBLIQUE_DEGREES:
        orientation += f" The pictures follow the voxels, which are tilted by {fixed(tilt, 0)} degrees."
    shape = " × ".join(str(n) for n in material.image.grid.shape)
    sentence = f"The scan has {shape} voxels of {spacing_text(material.image.grid)}."
    if material.around_mm is not None:
        sentence += f" It is shown within {material.around_mm:g} mm of the lumen, so that no page shows a face."
    if material.lumen is not None:
        sentence += " Slices start where they cut most of the lumen; the sliders step through it."
    return {
        "slices": slices(material, sheet),
        "projections": projections(material, sheet),
        "has_lumen": material.lumen is not None,
        "has_bridge": material.bridge is not None,
        "words": {"slices": sentence, "orientation": orientation},
    }


def spacing_text(grid: Grid) -> str:
    """`0.4 mm`, or `0.4 × 0.4 × 0.7 mm` where the edges differ."""
    edges = [f"{float(f'{s:.3g}'):g}" for s in grid.spacing]
    return f"{edges[0] if len(set(edges)) == 1 else ' × '.join(edges)} mm"


def vessel_section(material: Material, sheet: Sheet) -> Content:
    """The tree and the table of its branches."""
    tree = material.centerline
    content: Content = {
        "tree": None, "branches": None, "bridges": None, "stenoses": None, "has_bridge_nodes": False, "unnamed": 0,
    }  # fmt: skip
    if tree is not None and len(tree) > 1:
        pictures, bar = tree_pictures(material, sheet)
        count = len(material.opening_places)
        content["unnamed"] = count if count > MOST_TAGS else 0
        content |= {
            "tree": {"pictures": pictures, "bar": bar},
            "has_bridge_nodes": bool((tree.kinds == BRIDGE).any()),
        }
    if material.branches is not None and len(material.branches):
        shown = [c for c in BRANCHES if c[0] != "stenosis" or material.stenoses is not None]
        content["branches"] = known_columns(material.branches, shown)
    if material.stenoses is not None and len(material.stenoses):
        content["stenoses"] = known_columns(material.stenoses, STENOSES)
    if material.bridges is not None and len(material.bridges):
        content["bridges"] = known_columns(material.bridges, BRIDGES)
    return content


def velocity_section(material: Material, sheet: Sheet, backgrounds: list[str]) -> Content:
    """Speed in slices and through the lumen, and its standard deviation."""
    velocity = material.velocity
    if velocity is None or not velocity.data.any():
        return {"flow": None}
    rows = speed_rows(material, sheet, backgrounds)
    for row in rows:
        row["heading"], row["caption"] = FLOW_WORDS[row["name"]]
    frames = velocity.data.shape[3]
    sentence = f"Reconstructed on voxels of {spacing_text(velocity.grid)}."
    if frames > 1:
        sentence += f" Of {frames} frames, number {material.moment + 1} is shown, which is the fastest on average."
    return {"flow": rows, "velocity_words": sentence}


def pressure_section(material: Material, sheet: Sheet) -> Content:
    """Pressure along the vessel, through the lumen and at the openings."""
    content: Content = {
        "pressure": None, "drops": None, "estimates": None, "along": along_vessel(material), "along_words": "",
    }  # fmt: skip
    if material.pressure is not None and material.pressure.data.any():
        pictures, bar = pressure_pictures(material, sheet)
        content["pressure"] = {"pictures": pictures, "bar": bar}
    band = " The band is two standard deviations to either side." if material.pressure_sd is not None else ""
    content["along_words"] = (
        f"Relative pressure at the centerline, from its root to its ends.{band} Only differences mean something."
        " Standard deviations carry the uncertainty of velocity and lumen and the estimated error of the voxels."
    )
    if material.drops is not None and len(material.drops):
        content["drops"] = drop_table(material.drops, material.moment)
        content["estimates"] = estimate_table(material.drops, material.moment)
    return content


def grade_section(facts: Mapping[str, Any]) -> Content:
    """The grade, its set and what the set promises."""
    if facts["grade"] is None:
        return {"grade": None}
    low, high = facts["grade_set"] or (0, -1)
    chances = facts["grade_probabilities"] or []
    rows = [
        {
            "grade": number,
            "width": round(100 * float(p), 1),
            "text": percent(float(p), 0),
            "inside": low <= number <= high,
        }
        for number, p in enumerate(chances)
    ]
    alt = ", ".join(f"grade {row['grade']}: {row['text']}" for row in rows)
    return {"grade": {"text": grade_text(facts), "coverage": coverage_text(facts), "rows": rows, "alt": alt}}


def coverage_text(facts: Mapping[str, Any]) -> str:
    """What the set of a grade promises: in the words of the grader where it has some."""
    claim, level = facts["grade_claim"], facts["grade_coverage"]
    if claim:
        return f"{claim[:1].upper()}{claim[1:]}."
    if facts["grade_set"] is None or facts["grade_certified"] is False or level is None:
        return "No coverage is claimed for a set: too few patients to calibrate it."
    return f"The set holds the true grade with a probability of at least {percent(level, 0)}: {COVERAGE_WORDS}."


def tiles(facts: Mapping[str, Any]) -> list[dict[str, str]]:
    """The numbers at the head of the page, those that are known."""
    made: list[dict[str, str]] = []
    if facts["grade"] is not None:
        low, high = facts["grade_set"] or (None, None)
        words = "no set" if low is None else f"set {low}" if low == high else f"set {low} to {high}"
        made.append(tile("severity grade", f"{facts['grade']}", words))
    if facts["stenosis"] is not None:
        made.append(tile("narrowest stenosis", stenosis_text(facts), _stenosis_place(facts)))
    for fact, what in (("near_occlusions", "near-occlusions"), ("occlusions", "occlusions or gaps")):
        if facts.get(fact):
            made.append(tile(what, f"{facts[fact]}", "no percentage", "warning"))
    if facts["drop_pa"] is not None:
        value, mmhg = pressure_with_sd(facts["drop_pa"], facts["drop_sd_pa"]).rstrip(")").split(" (")
        made.append(tile("largest pressure drop", value, f"{mmhg}, {facts['drop_from']} to {facts['drop_to']}"))
    if facts["peak_speed"] is not None:
        made.append(tile("peak speed", significant(facts["peak_speed"]), unit_text(facts["speed_unit"])))
    if facts["dice"] is not None:
        made.append(tile("Dice against the truth", fixed(facts["dice"], 3), "lumen"))
    if facts["velocity_error"] is not None:
        made.append(tile("velocity error", percent(facts["velocity_error"]), "relative L2"))
    return made


def _stenosis_place(facts: Mapping[str, Any]) -> str:
    place = ", ".join(fixed(value, 0) for value in facts["stenosis_place"])
    return f"{str(facts['stenosis_method']).upper()}, at ({place}) mm"


def absences(material: Material, facts: Mapping[str, Any], failures: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    """Per section a sentence for what is not there; what a stage refused is told in its own words."""
    said: dict[str, list[str]] = {name: [] for name, _ in (*CONTENTS, *LAST)}
    for stage, reason, log in failures:
        said[SECTION_OF.get(stage, "findings")].append(not_finished(stage, reason, log))
    told = {name for name, sentences in said.items() if sentences}
    plain = {
        "scan": _absent_lumen(material),
        "vessels": _absent_vessels(material),
        "velocity": _absent_velocity(material),
        "pressure": [] if "pressure" in told else _absent_pressure(material),
        "grade": [] if "grade" in told or facts["grade"] is not None else ["This subject was not graded."],
        "truth": [] if "truth" in told or truth_tables(material.metrics) or comparison(facts) else [NO_TRUTH],
    }
    return {name: sentences + plain.get(name, []) for name, sentences in said.items()}


def _absent_lumen(material: Material) -> list[str]:
    said = []
    if material.lumen is None:
        said.append("No segmentation was given, so no lumen is outlined.")
    elif not material.lumen[0].any():
        said.append("The segmentation is empty: it found no lumen.")
    if material.hidden:
        said.append(HIDDEN)
    return said


def _absent_vessels(material: Material) -> list[str]:
    said = []
    if material.centerline is None or len(material.centerline) < 2:
        said.append("There is no centerline, so neither a tree nor the way along the vessel can be drawn.")
    if material.branches is None or not len(material.branches):
        said.append("There is no table of branches.")
    return said


def _absent_velocity(material: Material) -> list[str]:
    if material.velocity is None:
        return ["No velocity was reconstructed for this subject."]
    if not material.velocity.data.any():
        return ["The reconstructed velocity is zero everywhere."]
    said = []
    if material.velocity_sd is None:
        said.append("No standard deviation of the velocity was given, so nothing is said about how sure it is.")
    if material.velocity.unit is None:
        said.append("The unit of the velocity was never stated; colours are in the units of the file.")
    return said


def _absent_pressure(material: Material) -> list[str]:
    if material.pressure is not None:
        if material.pressure_sd is None:
            return ["No standard deviation of the pressure was given, so no band is drawn."]
        return []
    if material.velocity is not None and material.velocity.unit is None:
        return [
            "Pressure was refused: the unit of the velocity is unknown, and pressure goes with the square of speed."
        ]
    if material.velocity is None:
        return ["There is no pressure, since no velocity was reconstructed."]
    return ["No pressure was computed for this subject."]
