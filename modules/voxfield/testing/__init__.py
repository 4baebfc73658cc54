"""The contract test that every stage passes; a new stage supplies a tiny input and its settings.

    class TestPredict(StageContract):
        name = "segmentation.predict"

        def make_inputs(self):
            return {"image": Image(...), "model": Model(...)}

It is importable by other packages, so that stages outside Voxfield are held to the same promises.
"""

from voxfield.testing._contract import StageContract

__all__ = ["StageContract"]
