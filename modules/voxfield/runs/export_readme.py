"""The page that goes with an export: what it is, and the commands that repeat the run."""

from collections.abc import Mapping
from textwrap import fill
from typing import Any

WIDTH = 120
TEXT = """# {name}

{what}

## Repeat it

    tar -xzf {name}.tar.gz && cd {name}
    sha256sum -c manifest-sha256.txt
    pip install voxfield=={voxfield} -c constraints.txt
    voxfield run {command} --config config.yaml --directory repeat
    voxfield diff . repeat

`config.yaml` may name places that are not here: put yours in their place, or link them. `cohort.tsv` is the table of
the scans (columns as the pipeline's README says), `data` the folder of public data sets, `model.safetensors` a trained
model. Each can be named instead: `--set cohort=/path/to/cohort.tsv`.
{withheld}
`voxfield diff` compares the hashes of all files, and the numbers. Equal bytes are to be expected with equal packages,
threads and CPU instruction set, and equal ids of the subjects, from which the seeds of their jobs follow; elsewhere,
numbers within the tolerances of the stages.
"""
REPLACED = (
    "Subjects whose scans came from outside bear pseudonyms: hashes of their scans, which `voxfield diff` computes of "
    "the repeated run as well, so that it finds the same scans again."
)
WITHHELD = """
Left out, because they name subjects or their files: {names}. Set them for your own scans.
"""


def readme(name: str, about: Mapping[str, Any], *, own: bool) -> str:
    """The text, in Markdown.

    name   of the export
    about  the content of `export.json`
    own    whether the pipeline is packed as well
    """
    pipeline = about["pipeline"]
    single = about["with"] != "records"
    numbers = "the numbers of every subject" if single else "means of the numbers over patients"
    what = (
        f"A run of the Voxfield pipeline `{pipeline}`: settings, records, the versions it ran with, and {numbers}.",
        REPLACED if about["pseudonyms"] else "Subjects have the ids of the run.",
        "Its files lie in `artifacts/`." if about["with"] == "all" else "It holds no image and no table.",
    )
    return TEXT.format(
        name=name, what=fill(" ".join(what), WIDTH), voxfield=about["voxfield"],
        command=f"pipelines/{pipeline}" if own else pipeline,
        withheld=WITHHELD.format(names=", ".join(f"`{key}`" for key in about["withheld"])) if about["withheld"] else "",
    )  # fmt: skip
