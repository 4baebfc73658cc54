"""One Slurm for the tests of this folder, where the machine can have one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from slurm_cluster import Cluster, Unavailable

SHIPPED = Path(__file__).parents[2] / "workflow" / "profiles" / "slurm" / "profile.yaml"
# No database here, and no network between the nodes: there is nobody to wait for.
HERE = {
    "slurm-status-command": "squeue",
    "slurm-init-seconds-before-status-checks": 2,
    "slurm-no-account": True,
    "latency-wait": 5,
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Slurm on this machine; skips, and says why, where there can be none."""
    made = Cluster()
    try:
        made.start()
        yield made
    except Unavailable as reason:
        pytest.skip(str(reason))
    finally:
        made.stop()


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The profile that the package ships, as it is edited for a cluster like this one."""
    folder = tmp_path_factory.mktemp("profile")
    shipped = yaml.safe_load(SHIPPED.read_text())
    groups = [*shipped["groups"], "annotate=scan", "again=scan"]
    (folder / "profile.yaml").write_text(yaml.safe_dump({**shipped, **HERE, "groups": groups}))
    return folder
