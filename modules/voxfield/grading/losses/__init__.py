"""What labelled rows cost, by name: any algorithm runs with any of them. A new one is one file and one line here.

Those that remember rows (`early_learning`, `readers`, `probability`) refuse algorithms that mix labelled rows.
"""

LOSSES = {
    "ordinal": "voxfield.grading.losses.ordinal:Ordinal",
    "cumulative": "voxfield.grading.losses.cumulative:Cumulative",
    "conditional": "voxfield.grading.losses.conditional:Conditional",
    "acls": "voxfield.grading.losses.acls:Acls",
    "early_learning": "voxfield.grading.losses.early_learning:EarlyLearning",
    "readers": "voxfield.grading.losses.readers:Readers",
    "probability": "voxfield.grading.losses.probability:Probability",
}
