# Scans of a table in other formats than NIfTI, such as folders of DICOM slices: converted, resampled nowhere. The
# pipeline says what its tables tell of a scan: row_of(subject) has its `image` and, where a folder holds several, `series`.
from voxfield.workflow import series_flag


rule convert_scan:
    input:
        source=lambda wildcards: row_of(wildcards.subject)["image"],
    output:
        image="sub-{subject}/image.nii.gz",
    log:
        "logs/sub-{subject}/io.convert.log",
    params:
        **stages.params("io.convert"),
        series=lambda wildcards: series_flag(row_of(wildcards.subject)),
    resources:
        **stages.resources("io.convert"),
    threads: stages.threads("io.convert")
    shell:
        stages.shell("io.convert", "source", "image", more="{params.series}")
