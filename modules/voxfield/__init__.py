"""Voxfield takes scans to fields, reproducibly.

Every step is a *stage*: a typed Python function that is also a command and a Snakemake rule.

    from voxfield.segmentation import predict
    prediction = predict(image, model, overlap=0.25)

Importing this package costs nothing: stages, and the libraries behind them, load when they are first used.
"""

__version__ = "0.1.0"
