"""What labelled rows cost, by name: any algorithm runs with any of them. A new one is one file and one line here."""

LOSSES = {"ordinal": "voxfield.grading.losses.ordinal:Ordinal"}
