# Velocity samples in a lumen -> posterior velocity. velocity_of(subject) says where the measurement lies.


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


rule evaluate_velocity:
    input:
        mean="sub-{subject}/velocity.nii.gz",
        sd="sub-{subject}/velocity_sd.nii.gz",
        truth="sub-{subject}/velocity_true.nii.gz",
        region="sub-{subject}/lumen_true.nii.gz",
        **({"openings": "sub-{subject}/openings.nii.gz"} if HAS_TRUTH else {}),
    output:
        metrics="sub-{subject}/velocity_metrics.json",
    log:
        "logs/sub-{subject}/fields.evaluate.log",
    params:
        **stages.params("fields.evaluate"),
    shell:
        stages.shell(
            "fields.evaluate", "mean sd truth region" + (" openings" if HAS_TRUTH else ""), "metrics"
        )
