# The phase images of a scanner -> velocity in m/s -> on the grid of the angiogram, for subjects whose table has them:
# columns phase_1, phase_2, phase_3 and magnitude. What the scanner's encoding was is said under `stages`, for all alike.
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


rule prepare:
    input:
        unpack(lambda wildcards: phases_of(wildcards.subject)),
    output:
        velocity="sub-{subject}/velocity_prepared.nii.gz",
        pcmra="sub-{subject}/pcmra.nii.gz",
        static="sub-{subject}/static.nii.gz",
        metrics="sub-{subject}/preparation.json",
    group:
        "input"
    log:
        "logs/sub-{subject}/fields.prepare.log",
    params:
        **stages.params("fields.prepare"),
        phases=lambda wildcards: input_flags(phases_of(wildcards.subject)),
    resources:
        **stages.resources("fields.prepare"),
    threads: stages.threads("fields.prepare")
    shell:
        stages.shell("fields.prepare", "", "velocity pcmra static metrics", more="{params.phases}")


rule align:
    input:
        fixed=lambda wildcards: image_of(wildcards.subject),
        moving=lambda wildcards: flow_picture_of(wildcards.subject),
        vectors=lambda wildcards: unaligned_velocity_of(wildcards.subject),
    output:
        aligned="sub-{subject}/flow_picture.nii.gz",
        transform="sub-{subject}/alignment.json",
        aligned_vectors="sub-{subject}/velocity_aligned.nii.gz",
    group:
        "input"
    log:
        "logs/sub-{subject}/fields.align.log",
    params:
        **stages.params("fields.align"),
    resources:
        **stages.resources("fields.align"),
    threads: stages.threads("fields.align")
    shell:
        stages.shell("fields.align", "fixed moving vectors", "aligned transform aligned_vectors")
