# The phase images of a scanner -> velocity in m/s -> on the grid of the angiogram, for subjects whose table has them:
# columns phase_1, phase_2, phase_3 and magnitude. What the scanner's encoding was is said under `stages`, for all alike.
from voxfield.chain import Chain, Step

PHASES = ("phase_1", "phase_2", "phase_3")


def phases_of(subject):
    """Phase images of a subject and their magnitude, by name; empty where it brings a velocity instead."""
    row = ROWS[subject]
    named = [name for name in PHASES if name in row]
    if not named:
        return {}
    if len(named) < len(PHASES) or "velocity" in row:
        raise InputError(
            f"subject {subject} has {', '.join([*named, *(c for c in ['velocity'] if c in row)])}; expected "
            "phase_1, phase_2 and phase_3, or velocity",
            file=config["cohort"],
        )
    return {name: row[name] for name in (*PHASES, "magnitude") if name in row}


def flow_picture_of(subject):
    """What is laid over the angiogram: the PC-MRA, or the magnitude beside a velocity."""
    if phases_of(subject):
        return f"sub-{subject}/pcmra.nii.gz"
    if "magnitude" not in ROWS[subject]:
        raise InputError(
            f"subject {subject} has a velocity and no magnitude; `align: true` needs one to lay over the angiogram",
            file=config["cohort"],
        )
    return ROWS[subject]["magnitude"]


def unaligned_velocity_of(subject):
    """Velocity in m/s as it was measured, None where there is none."""
    return f"sub-{subject}/velocity_prepared.nii.gz" if phases_of(subject) else ROWS[subject].get("velocity")


def carried(subject):
    """What the steps below do to the velocity of a subject, as columns of its row; nothing for most."""
    columns = {}
    if phases_of(subject):
        columns["phases"] = input_flags(phases_of(subject))
    if SOURCE == "cohort" and config["align"] and unaligned_velocity_of(subject):
        columns["fixed"] = image_of(subject)
        columns["moving"] = flow_picture_of(subject)
        columns["vectors"] = unaligned_velocity_of(subject)
    return columns


def brought(subject):
    """Files of a subject that the steps below begin with."""
    row = ROWS[subject]
    return [image_of(subject), *(row[name] for name in (*PHASES, "velocity", "magnitude") if name in row)]


CARRIED = {subject: columns for subject in ROWS if (columns := carried(subject))}
VELOCITIES = Chain(
    stages,
    "velocities",
    [
        Step(
            "prepare",
            "fields.prepare",
            {
                "out-velocity": "sub-{subject}/velocity_prepared.nii.gz",
                "out-pcmra": "sub-{subject}/pcmra.nii.gz",
                "out-static": "sub-{subject}/static.nii.gz",
                "out-metrics": "sub-{subject}/preparation.json",
            },
            more="phases",
        ),
        Step(
            "align",
            "fields.align",
            {
                "fixed": "{fixed}",
                "moving": "{moving}",
                "vectors": "{vectors}",
                "out-aligned": "sub-{subject}/flow_picture.nii.gz",
                "out-transform": "sub-{subject}/alignment.json",
                "out-aligned-vectors": "sub-{subject}/velocity_aligned.nii.gz",
            },
        ),
    ],
    {subject: {"phases": "n/a", "fixed": "n/a", **columns} for subject, columns in CARRIED.items()},
    size=config["batch"],
    failed=FAILED,
    lost=lost_by("prepare", "align"),
)


rule velocities:
    input:
        table=VELOCITIES.table,
        measured=lambda wildcards: [f for s in VELOCITIES.members(wildcards.batch) for f in brought(s)],
    output:
        manifest=VELOCITIES.done,
    log:
        VELOCITIES.log,
    params:
        **VELOCITIES.params(),
    resources:
        **VELOCITIES.resources(),
    threads: VELOCITIES.threads()
    shell:
        VELOCITIES.shell()
