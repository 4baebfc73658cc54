"""The instruction set of the CPU. Numerical libraries choose by it in which order they add up, hence the last digits.

Levels of x86-64 are those of its psABI (x86-64-v2 has SSE4.2, v3 AVX2, v4 AVX-512). The maker is named because some
libraries go by it; the model is not, nor anything else that tells one machine from another.
"""

import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path

LEVELS = {
    "v4": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
    "v3": {"avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"},
    "v2": {"cx16", "popcnt", "sse4_1", "sse4_2", "ssse3"},
}
ARM = ("sve2", "sve")
KNOWN = Path("/proc/cpuinfo")


@cache
def instruction_set() -> str:
    """What this machine computes with, such as `x86-64-v3 GenuineIntel`."""
    described = _first_core(KNOWN.read_text()) if KNOWN.is_file() else {}
    return name_of(platform.machine(), described)


def name_of(machine: str, described: Mapping[str, str]) -> str:
    """The instruction set of a kind of machine whose first core is described so (as in /proc/cpuinfo)."""
    if machine in {"x86_64", "AMD64"}:
        flags = set(described.get("flags", "").split())
        level = next((f"-{level}" for level, needed in LEVELS.items() if needed <= flags), "")
        return " ".join(["x86-64" + level, *described.get("vendor_id", "").split()])
    features = described.get("Features", "").split()
    return " ".join([machine, *[name for name in ARM if name in features][:1]])


def _first_core(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
