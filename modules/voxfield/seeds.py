"""Seeds that follow from the run's seed: one for every (subject, stage), however the stage is run."""

import hashlib


def seed_of(seed: int, subject: str, stage: str) -> int:
    """A seed of its own for every (run seed, subject, stage)."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{subject}/{stage}".encode()).digest()[:6], "big")
