"""Which folder a run lives in, and how the settings of two runs differ."""

import json
from pathlib import Path
from typing import Any

import pytest

from voxfield.errors import InputError, SettingsError
from voxfield.runs.configuration import changes, merged_config, of_results, saved_config
from voxfield.runs.folder import write_marker, write_whole
from voxfield.runs.place import place_for
from voxfield.settings_yaml import dump_yaml

MINI = Path(__file__).parent / "mini"


def settings(*assignments: str) -> dict[str, Any]:
    """The settings of the mini pipeline."""
    return merged_config(MINI, None, assignments)


def made(run: Path, *assignments: str, origin: str | None = None, results: bool = True) -> Path:
    """A run folder with one result."""
    run.mkdir(parents=True)
    write_whole(run / "config.yaml", dump_yaml(settings(*assignments)))
    write_marker(run, pipeline="mini", origin=origin)
    if results:
        (run / "cohort.tsv").write_text("subject\na\n")
        output = {"path": "cohort.tsv", "sha256": "0", "bytes": 10}
        (run / "cohort.tsv.json").write_text(json.dumps({"voxfield": {"output": output}}))
    return run


def test_equal_settings_go_on_in_the_same_folder(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    place = place_for(run, MINI, settings())
    assert (place.run, place.origin, dict(place.changed)) == (run, None, {})
    fresh = place_for(tmp_path / "fresh", MINI, settings("seed=7"))
    assert (fresh.run, fresh.origin) == (tmp_path / "fresh", None)


def test_other_settings_are_another_run_that_begins_with_the_nearest(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    first = place_for(run, MINI, settings("seed=1"))
    assert (first.run, first.origin) == (tmp_path / "run-2", run)
    assert first.changed == {"seed": ("0", "1")}

    second = made(tmp_path / "run-2", "seed=1", origin="run")
    assert place_for(run, MINI, settings("seed=1")).run == second, "it is taken up again"
    assert place_for(second, MINI, settings()).run == run
    third = place_for(run, MINI, settings("seed=1", "stages.segmentation.annotate.every=5"))
    assert (third.run, third.origin) == (tmp_path / "run-3", second)
    assert third.changed == {"stages.segmentation.annotate.every": ("2", "5")}
    assert place_for(second, MINI, settings("seed=2")).run == tmp_path / "run-3", "NAME-2 continues NAME"


def test_a_folder_of_a_like_name_is_left_alone(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    (tmp_path / "run-2").mkdir()
    (tmp_path / "run-2" / "notes.txt").touch()
    (tmp_path / "run-old").mkdir()
    assert place_for(run, MINI, settings("seed=1")).run == tmp_path / "run-3"
    numbered = made(tmp_path / "site-7")
    assert place_for(numbered, MINI, settings("seed=1")).run == tmp_path / "site-7-2", "a name may end in a number"


def test_how_a_run_is_carried_out_may_change_in_its_folder(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    place = place_for(run, MINI, settings("min_success=0.2", "resources.segmentation.annotate.mem_mb=9000"))
    assert (place.run, place.origin) == (run, None)
    assert place.changed == {
        "min_success": ("0.5", "0.2"),
        "resources.segmentation.annotate.mem_mb": ("unset", "9000"),
    }


def test_a_folder_without_results_is_used_whatever_its_settings(tmp_path: Path) -> None:
    run = made(tmp_path / "run", results=False)
    assert place_for(run, MINI, settings("seed=1")).run == run


def test_a_folder_of_another_pipeline_is_refused(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    write_marker(run, pipeline="airway")
    with pytest.raises(InputError, match="holds a run of airway, not of mini; name another folder"):
        place_for(run, MINI, settings())


def test_a_key_that_came_to_the_pipeline_later_has_its_default(tmp_path: Path) -> None:
    saved = tmp_path / "config.yaml"
    saved.write_text("seed: 0\ncohort: null\nstages: {segmentation.annotate: {every: 2}}\n")
    assert changes(saved_config(MINI, saved), settings()) == {}


def test_numbers_are_compared_as_a_stage_is_given_them() -> None:
    assert changes({"a": 1, "b": {}}, {"a": 1.0, "b": {"c": True}}) == {"a": ("1", "1.0"), "b.c": ("unset", "true")}
    assert of_results({"resources.x.mem_mb": ("1", "2"), "resource": ("1", "2")}) == {"resource": ("1", "2")}


@pytest.mark.parametrize("share", ["1.5", "-0.1", "true", "most"])
def test_a_share_is_a_number_from_0_to_1(share: str) -> None:
    with pytest.raises(SettingsError, match=r"'min_success' is .*; expected a (number|share of the scans from 0 to 1)"):
        settings(f"min_success={share}")
