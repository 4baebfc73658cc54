# Velocity samples in a lumen -> posterior velocity -> what is derived from it, where asked for. velocity_of(subject) says
# where the measurement lies.


rule reconstruct:
    input:
        velocity=lambda wildcards: velocity_of(wildcards.subject),
        segmented=lambda wildcards: SEGMENTED.manifest(wildcards.subject),
        lumen="sub-{subject}/lumen.nii.gz",
        openings="sub-{subject}/openings.nii.gz",
    output:
        mean="sub-{subject}/velocity.nii.gz",
        sd="sub-{subject}/velocity_sd.nii.gz",
        samples="sub-{subject}/velocity_samples.safetensors",
        flux="sub-{subject}/velocity_flux.safetensors",
        metrics="sub-{subject}/reconstruction.json",
    log:
        "logs/sub-{subject}/fields.reconstruct.log",
    params:
        **stages.params("fields.reconstruct"),
    resources:
        **stages.resources("fields.reconstruct"),
    threads: stages.threads("fields.reconstruct")
    shell:
        stages.shell(
            "fields.reconstruct",
            "velocity lumen openings",
            "mean sd samples flux metrics",
            more="--probability sub-{wildcards.subject}/probability.nii.gz",
        )


rule derive:
    input:
        samples="sub-{subject}/velocity_samples.safetensors",
        segmented=lambda wildcards: SEGMENTED.manifest(wildcards.subject),
        openings="sub-{subject}/openings.nii.gz",
        centerline="sub-{subject}/centerline.swc",
        flux="sub-{subject}/velocity_flux.safetensors",
    output:
        flow="sub-{subject}/flow.tsv",
        wall_shear="sub-{subject}/wall_shear.safetensors",
        wall="sub-{subject}/wall.tsv",
        vorticity="sub-{subject}/vorticity.nii.gz",
        vorticity_sd="sub-{subject}/vorticity_sd.nii.gz",
        streamlines="sub-{subject}/streamlines.vtp",
        energy="sub-{subject}/energy.tsv",
        metrics="sub-{subject}/derived.json",
    log:
        "logs/sub-{subject}/fields.derive.log",
    params:
        **stages.params("fields.derive"),
    resources:
        **stages.resources("fields.derive"),
    threads: stages.threads("fields.derive")
    shell:
        stages.shell(
            "fields.derive",
            "samples openings centerline flux",
            "flow wall_shear wall vorticity vorticity_sd streamlines energy metrics",
            more="--probability sub-{wildcards.subject}/probability.nii.gz",
        )


rule evaluate_velocity:
    input:
        mean="sub-{subject}/velocity.nii.gz",
        sd="sub-{subject}/velocity_sd.nii.gz",
        truth="sub-{subject}/velocity_true.nii.gz",
        region="sub-{subject}/lumen_true.nii.gz",
        **({"openings": "sub-{subject}/openings.nii.gz"} if HAS_TRUTH else {}),
    output:
        metrics="sub-{subject}/velocity_metrics.json",
    group:
        "page"
    log:
        "logs/sub-{subject}/fields.evaluate.log",
    params:
        **stages.params("fields.evaluate"),
    resources:
        **stages.resources("fields.evaluate"),
    threads: stages.threads("fields.evaluate")
    shell:
        stages.shell(
            "fields.evaluate", "mean sd truth region" + (" openings" if HAS_TRUTH else ""), "metrics"
        )
