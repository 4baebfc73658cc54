"""What the files of a run are called in BIDS: one table for the per-scan outputs of every pipeline about scans.

Names follow the rules for derivatives of BIDS 1.10: `sub-<label>[_ses-<label>][_acq-<label>][_run-<index>]
[_label-<label>][_desc-<label>]_<suffix>`. `mask`, `dseg` and `probseg` are the suffixes of binary, discrete and
probabilistic segmentations, and `angio` that of an angiogram. The specification has no suffix for velocities,
pressures, centerlines and the like: those have suffixes of our own, which `.bidsignore` lists, and no entity that the
specification reserves for something else. No `space-` is written: results lie on the grid of the scan itself.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

STANDARD = frozenset({"angio", "dseg", "mask", "probseg"})
ENDINGS = (".nii.gz", ".surf.gii")  # what is more than the last dot of a name; others end behind it
SUBJECT = r"(?P<subject>[A-Za-z0-9-]+)"


@dataclass(frozen=True)
class Name:
    """The part of a BIDS name that says what a file is.

    suffix  what kind of data
    desc    which of several of that kind; a `*` stands for the model that a file comes from
    about   the description in the sidecar
    label   which structure a mask or probability is of
    """

    suffix: str
    desc: str
    about: str
    label: str = ""


IN_FOLDERS: Mapping[str, Name] = {
    # scans as stages read them
    "angiogram.nii.gz": Name("angio", "input", "Angiogram"),
    "image.nii.gz": Name("image", "input", "Scan, converted from another format"),
    "ct.nii.gz": Name("ct", "simulated", "Simulated CT, HU"),
    "velocity_measured.nii.gz": Name("velocity", "measured", "Measured velocity along the world axes"),
    "annotation.nii.gz": Name("dseg", "annotation", "Annotation to train on; 255 is not looked at"),
    "labels.nii.gz": Name("dseg", "input", "Label map that came with the scan"),
    "reference.nii.gz": Name("dseg", "reference", "Reference segmentation"),
    # segmentation
    "probability.nii.gz": Name("probseg", "predicted", "Probability by the network", "lumen"),
    "segmentation.nii.gz": Name("dseg", "predicted", "Segmentation by the network, before repair"),
    "lumen.nii.gz": Name("dseg", "lumen", "Repaired lumen; label 2 is a bridge, a guess"),
    "lung.nii.gz": Name("mask", "lung", "Lungs", "lung"),
    "openings.nii.gz": Name("dseg", "openings", "Where the lumen is cut: 1 wall, from 2 on inlets and outlets"),
    "bridges.tsv": Name("bridges", "drawn", "Gaps that were bridged, with probabilities"),
    "bridges_refused.tsv": Name("bridges", "refused", "Bridges that were not drawn, and why"),
    "removed.tsv": Name("components", "removed", "Components that were dropped"),
    "centerline.swc": Name("centerline", "lumen", "Centerline and radii, mm"),
    "centerline.vtp": Name("centerline", "lumen", "Centerline as polylines, mm"),
    "centerline.graphml": Name("centerline", "lumen", "Centerline as a graph"),
    "branches.tsv": Name("branches", "lumen", "Branches: length, radius, angles"),
    "loops.tsv": Name("loops", "lumen", "Loops of the centerline"),
    "stenoses.tsv": Name("stenoses", "lumen", "Narrowest place of each vessel"),
    "stenosis_metrics.json": Name("metrics", "stenosis", "Degrees of stenosis"),
    "segmentation_metrics.json": Name("metrics", "segmentation", "Segmentation against its reference"),
    # velocity
    "velocity_prepared.nii.gz": Name("velocity", "prepared", "Velocity from phase images"),
    "pcmra.nii.gz": Name("pcmra", "prepared", "Phase-contrast angiogram"),
    "static.nii.gz": Name("mask", "static", "Tissue that does not move", "static"),
    "preparation.json": Name("metrics", "preparation", "How phase images became velocities"),
    "flow_picture.nii.gz": Name("pcmra", "aligned", "Flow scan laid over the angiogram"),
    "velocity_aligned.nii.gz": Name("velocity", "aligned", "Measured velocity on the grid of the angiogram"),
    "alignment.json": Name("transform", "aligned", "Rigid transform of the flow scan"),
    "velocity.nii.gz": Name("velocity", "mean", "Posterior mean of the velocity"),
    "velocity_sd.nii.gz": Name("velocity", "sd", "Standard deviation of the velocity"),
    "velocity_samples.safetensors": Name("velocity", "samples", "Posterior samples of velocity and lumen"),
    "velocity_flux.safetensors": Name("velocity", "flux", "Staggered face velocities, free of divergence"),
    "reconstruction.json": Name("metrics", "reconstruction", "How the velocity was reconstructed"),
    "velocity_metrics.json": Name("metrics", "velocity", "Velocity against its truth"),
    "flow.tsv": Name("flow", "lumen", "Flow rates"),
    "wall.tsv": Name("wall", "lumen", "Wall shear stress by branch"),
    "wall_shear.safetensors": Name("wall", "shear", "Wall shear stress at points of the wall"),
    "vorticity.nii.gz": Name("vorticity", "mean", "Vorticity"),
    "vorticity_sd.nii.gz": Name("vorticity", "sd", "Standard deviation of the vorticity"),
    "streamlines.vtp": Name("streamlines", "mean", "Streamlines of the mean velocity, mm"),
    "energy.tsv": Name("energy", "lumen", "Kinetic energy and its loss"),
    "derived.json": Name("metrics", "derived", "Derived quantities"),
    # pressure and grades
    "pressure.nii.gz": Name("pressure", "mean", "Pressure relative to the inlet"),
    "pressure_sd.nii.gz": Name("pressure", "sd", "Standard deviation of the pressure"),
    "pressure_samples.safetensors": Name("pressure", "samples", "Posterior samples of the pressure"),
    "drops.tsv": Name("drops", "lumen", "Pressure drops between openings"),
    "pressure_summary.json": Name("metrics", "drops", "How the pressure was solved for"),
    "pressure_metrics.json": Name("metrics", "pressure", "Pressure against its truth"),
    "features.tsv": Name("features", "lumen", "Features that a grade follows from"),
    "grade.json": Name("grade", "severity", "Severity grade with its set and the coverage that is claimed"),
    # fields on surfaces
    "domain.safetensors": Name("domain", "surface", "Nodes, tangent frames and edges"),
    "domain.json": Name("metrics", "domain", "How well the frames are known"),
    "field_model.safetensors": Name("field", "model", "Fitted field"),
    "field.safetensors": Name("field", "mean", "Field: mean and standard deviation"),
    "field_samples.safetensors": Name("field", "samples", "Joint samples of the field"),
    "field.json": Name("metrics", "field", "How the field was fitted"),
    "field_metrics.json": Name("metrics", "accuracy", "Field against its truth"),
    "singularities.tsv": Name("singularities", "clusters", "Where the field is zero, with probabilities"),
    "singularity_cells.tsv": Name("singularities", "cells", "Zeros of the field by triangle"),
    "singularities.json": Name("metrics", "singularities", "Counts and index sums"),
    "observed.safetensors": Name("field", "observed", "Observed vectors"),
    "cloud.safetensors": Name("points", "input", "Points of the surface"),
    # what phantoms know
    "lumen_true.nii.gz": Name("mask", "truth", "True lumen", "lumen"),
    "airway_true.nii.gz": Name("mask", "truth", "True airway", "airway"),
    "lung_true.nii.gz": Name("dseg", "truth", "True lungs"),
    "wall.nii.gz": Name("dseg", "wall", "Airway wall; label 2 is broken"),
    "velocity_true.nii.gz": Name("velocity", "truth", "True velocity"),
    "pressure_true.nii.gz": Name("pressure", "truth", "True pressure"),
    "centerline_true.swc": Name("centerline", "truth", "True centerline and radii, mm"),
    "branches_true.tsv": Name("branches", "truth", "True branches"),
    "truth.json": Name("metrics", "truth", "What was drawn for the phantom"),
    "simulation.json": Name("metrics", "simulation", "What was drawn for the simulated scan"),
    "surface_true.surf.gii": Name("surface", "truth", "Surface"),
    "field_true.safetensors": Name("field", "truth", "True field"),
}
ELSEWHERE: Mapping[str, Name] = {
    f"images/{SUBJECT}\\.nii\\.gz": Name("radiograph", "input", "Radiograph as a plane in mm"),
    f"predictions/(?P<model>[^/]+)/{SUBJECT}\\.json": Name("grade", "*", "Grade with its set and the coverage claimed"),
    f"explanations/(?P<model>[^/]+)/{SUBJECT}-saliency\\.nii\\.gz": Name("saliency", "*", "What made the grade"),
    f"explanations/(?P<model>[^/]+)/{SUBJECT}\\.(json|png)": Name("explanation", "*", "What made the grade"),
}
SCANS = frozenset({"airway", "knee", "surface_field", "vessel_flow"})  # pipelines whose subjects are scans


def named(path: str) -> tuple[str, Name] | None:
    """Subject and name of a run's file; None for one that is no output of a single scan."""
    in_folder = re.fullmatch(f"sub-{SUBJECT}/(?P<file>[^/]+)", path)
    if in_folder:
        name = IN_FOLDERS.get(in_folder["file"])
        return (in_folder["subject"], name) if name else None
    for pattern, name in ELSEWHERE.items():
        match = re.fullmatch(pattern, path)
        if match:
            desc = alphanumeric(match.groupdict().get("model") or name.desc)
            return match["subject"], Name(name.suffix, desc, name.about)
    return None


def file_name(entities: str, name: Name, path: str) -> str:
    """The BIDS name of a run's file: entities of its scan, what it is, and the ending that it has."""
    ending = next((e for e in ENDINGS if path.endswith(e)), f".{path.rpartition('.')[2]}")
    label = f"_label-{name.label}" if name.label else ""
    return f"{entities}{label}_desc-{name.desc}_{name.suffix}{ending}"


def alphanumeric(text: str) -> str:
    """What a label of BIDS may hold of a text: letters and digits."""
    return re.sub(r"[^A-Za-z0-9]", "", text)


def ignored() -> list[str]:
    """Lines of `.bidsignore`: names with a suffix that the specification does not know."""
    own = {name.suffix for name in (*IN_FOLDERS.values(), *ELSEWHERE.values())} - STANDARD
    return [f"*_{suffix}.*" for suffix in sorted(own)]
