# Velocity samples in a lumen -> posterior velocity -> what is derived from it, where asked for -> relative pressure.
# velocity_of(subject) says where the measurement lies. These take long: each scan is a job of its own.
from voxfield.chain import Chain, Step

VELOCITY_SAMPLES = "sub-{subject}/velocity_samples.safetensors"
OPENINGS = "sub-{subject}/openings.nii.gz"
FLOW_STEPS = [
    Step(
        "reconstruct",
        "fields.reconstruct",
        {
            "velocity": "{velocity}",
            "lumen": LUMEN,
            "openings": OPENINGS,
            "probability": "sub-{subject}/probability.nii.gz",
            "out-mean": "sub-{subject}/velocity.nii.gz",
            "out-sd": "sub-{subject}/velocity_sd.nii.gz",
            "out-samples": VELOCITY_SAMPLES,
            "out-flux": "sub-{subject}/velocity_flux.safetensors",
            "out-metrics": "sub-{subject}/reconstruction.json",
        },
    ),
]
if config["derived"]:
    FLOW_STEPS.append(
        Step(
            "derive",
            "fields.derive",
            {
                "samples": VELOCITY_SAMPLES,
                "probability": "sub-{subject}/probability.nii.gz",
                "openings": OPENINGS,
                "centerline": "sub-{subject}/centerline.swc",
                "flux": "sub-{subject}/velocity_flux.safetensors",
                "out-flow": "sub-{subject}/flow.tsv",
                "out-wall-shear": "sub-{subject}/wall_shear.safetensors",
                "out-wall": "sub-{subject}/wall.tsv",
                "out-vorticity": "sub-{subject}/vorticity.nii.gz",
                "out-vorticity-sd": "sub-{subject}/vorticity_sd.nii.gz",
                "out-streamlines": "sub-{subject}/streamlines.vtp",
                "out-energy": "sub-{subject}/energy.tsv",
                "out-metrics": "sub-{subject}/derived.json",
            },
        )
    )
FLOW_STEPS.append(
    Step(
        "pressure",
        "pde.pressure",
        {
            "samples": VELOCITY_SAMPLES,
            "openings": OPENINGS,
            "out-pressure": "sub-{subject}/pressure.nii.gz",
            "out-pressure-sd": "sub-{subject}/pressure_sd.nii.gz",
            "out-pressure-samples": "sub-{subject}/pressure_samples.safetensors",
            "out-drops": "sub-{subject}/drops.tsv",
            "out-metrics": "sub-{subject}/pressure_summary.json",
        },
    )
)
if HAS_TRUE_VELOCITY:
    FLOW_STEPS.append(
        Step(
            "evaluate_velocity",
            "fields.evaluate",
            {
                "mean": "sub-{subject}/velocity.nii.gz",
                "sd": "sub-{subject}/velocity_sd.nii.gz",
                "truth": "sub-{subject}/velocity_true.nii.gz",
                "region": "sub-{subject}/lumen_true.nii.gz",
                **({"openings": OPENINGS} if HAS_TRUTH else {}),
                "out-metrics": "sub-{subject}/velocity_metrics.json",
            },
        )
    )
if HAS_TRUTH:
    FLOW_STEPS.append(
        Step(
            "evaluate_pressure",
            "pde.evaluate",
            {
                "drops": "sub-{subject}/drops.tsv",
                "truth": "sub-{subject}/pressure_true.nii.gz",
                "lumen": "sub-{subject}/lumen_true.nii.gz",
                "openings": OPENINGS,
                "out-metrics": "sub-{subject}/pressure_metrics.json",
            },
        )
    )
FLOW = Chain(
    stages,
    "flow",
    FLOW_STEPS,
    {subject: {"velocity": velocity_of(subject)} for subject in ROWS if velocity_of(subject)},
    size=1,
    failed=FAILED,
    lost=lost_by(
        *MAKES_IMAGES, "convert_truth", "prepare", "align", "segment", "repair", "centerline", "reconstruct"
    ),
)


def measured_of(subject):
    """What the steps need of a subject beside its tree: the measurement, or the batch that prepares it, and the truth."""
    prepared = [VELOCITIES.manifest(subject)] if subject in CARRIED else [velocity_of(subject)]
    truths = ["velocity_true.nii.gz", "lumen_true.nii.gz"] if HAS_TRUE_VELOCITY else []
    truths += ["pressure_true.nii.gz"] if HAS_TRUTH else []
    return [*prepared, *(f"sub-{subject}/{name}" for name in truths)]


rule flow:
    input:
        table=FLOW.table,
        trees=lambda wildcards: TREES.manifests(FLOW.members(wildcards.batch)),
        measured=lambda wildcards: [file for s in FLOW.members(wildcards.batch) for file in measured_of(s)],
    output:
        manifest=FLOW.done,
    log:
        FLOW.log,
    params:
        **FLOW.params(),
    resources:
        **FLOW.resources(),
    threads: FLOW.threads()
    shell:
        FLOW.shell()
