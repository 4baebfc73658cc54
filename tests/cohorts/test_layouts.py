"""BIDS, nnU-Net and patterns: every scan in its row, and everything else in the list of what did not match."""

import json
from pathlib import Path

import pytest

from cohorts.trees import cohort, touch, unmatched
from voxfield.artifacts import Cohort
from voxfield.cli import main
from voxfield.workflow import cohort_rows, graded_images

Said = pytest.CaptureFixture[str]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


class TestBids:
    def test_a_run_of_a_session_is_a_row(self, root: Path, capsys: Said) -> None:
        touch(root, [
            "dataset_description.json", "README", "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz",
            "sub-01/ses-a/anat/sub-01_ses-a_T1w.json", "sub-01/ses-a/anat/sub-01_ses-a_acq-fast_T2w.nii.gz",
            "sub-01/ses-b/anat/sub-01_ses-b_run-1_T1w.nii.gz", "sub-01/ses-b/anat/sub-01_ses-b_run-2_T1w.nii.gz",
            "sub-02/anat/sub-02_T1w.nii.gz", "sub-02/anat/._sub-02_T1w.nii.gz", "sourcedata/sub-02/x.nii.gz",
            "derivatives/hand/sub-02/anat/sub-02_desc-lumen_mask.nii.gz",
        ])  # fmt: skip
        (root / "participants.tsv").write_text("participant_id\tage\tsite\nsub-01\t70\tLeeds\nsub-02\tn/a\tn/a\n")
        rows = cohort(root, "--annotation", "desc-lumen_mask")
        assert [row["subject"] for row in rows] == ["01-a", "01-b-run-1", "01-b-run-2", "02"]
        assert rows[0] == {
            "subject": "01-a", "patient": "01", "session": "a", "site": "Leeds",
            "image": "data/sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz",
            "acq-fast_T2w": "data/sub-01/ses-a/anat/sub-01_ses-a_acq-fast_T2w.nii.gz",
        }  # fmt: skip
        assert rows[3]["annotation"] == "data/derivatives/hand/sub-02/anat/sub-02_desc-lumen_mask.nii.gz"
        assert not unmatched(root)
        said = capsys.readouterr().out
        assert "layout: BIDS" in said
        assert "T1w is taken for the image (4 scans); others are acq-fast_T2w (1)" in said
        assert "70" not in (root.parent / "cohort.tsv").read_text()

    def test_what_does_not_match_is_listed_with_its_reason(self, root: Path) -> None:
        touch(root, [
            "sub-01/anat/sub-01_T1w.nii.gz", "sub-01/anat/sub-02_T1w.nii.gz", "sub-01/ses-a/sub-01_T1w.nii.gz",
            "sub-01/anat/scan.nii.gz", "sub-03/anat/sub-03.nii.gz", "sub-04/anat/sub-04_run-1.nii.gz",
            "sub-05/anat/sub-05_bold.nii.gz",
        ])  # fmt: skip
        (row,) = cohort(root)
        assert row["subject"] == "01"
        found = unmatched(root)
        assert found["sub-01/anat/sub-02_T1w.nii.gz"] == "its name says sub-02, its folder sub-01"
        assert found["sub-01/ses-a/sub-01_T1w.nii.gz"] == "its name says ses-(none), its folder ses-a"
        assert "suffix" in found["sub-04/anat/sub-04_run-1.nii.gz"]
        assert found["sub-05/anat/sub-05_bold.nii.gz"] == "no T1w of this scan"
        assert set(found) == {
            "sub-01/anat/sub-02_T1w.nii.gz", "sub-01/ses-a/sub-01_T1w.nii.gz", "sub-01/anat/scan.nii.gz",
            "sub-03/anat/sub-03.nii.gz", "sub-04/anat/sub-04_run-1.nii.gz", "sub-05/anat/sub-05_bold.nii.gz",
        }  # fmt: skip

    def test_an_unknown_kind_is_refused_with_the_nearest(self, root: Path, capsys: Said) -> None:
        touch(root, ["sub-01/anat/sub-01_T1w.nii.gz"])
        cohort(root, "--image", "T1", code=2)
        assert "nearest known one is 'T1w'" in capsys.readouterr().err


class TestNnunet:
    def test_channels_labels_and_sets(self, root: Path, capsys: Said) -> None:
        touch(root, [
            "imagesTr/case_01_0000.nii.gz", "imagesTr/case_01_0001.nii.gz", "labelsTr/case_01.nii.gz",
            "imagesTr/case_02_0000.nii.gz", "imagesTs/case_03_0000.nii.gz", "imagesTs/case_03_0001.nii.gz",
            "labelsTr/case_09.nii.gz", "imagesTr/case_04.nii.gz", "notes/a.txt",
        ])  # fmt: skip
        said = {
            "channel_names": {"0": "CT", "1": "PET scan"},
            "labels": {"background": 0, "aorta": 1},
            "numTraining": 2,
        }
        (root / "dataset.json").write_text(json.dumps(said))
        first, second = cohort(root)
        assert first == {
            "subject": "case-01", "patient": "case_01", "split": "train", "annotation": "data/labelsTr/case_01.nii.gz",
            "image": "data/imagesTr/case_01_0000.nii.gz", "PET_scan": "data/imagesTr/case_01_0001.nii.gz",
        }  # fmt: skip
        (pet, _) = cohort(root, "--image", "PET_scan")
        assert (pet["image"], pet["CT"]) == ("data/imagesTr/case_01_0001.nii.gz", "data/imagesTr/case_01_0000.nii.gz")
        assert (second["subject"], second["split"], "annotation" in second) == ("case-03", "test", False)
        assert unmatched(root) == {
            "imagesTr/case_02_0000.nii.gz": "case case_02 lacks channel 0001",
            "labelsTr/case_09.nii.gz": "no image of case case_09",
            "imagesTr/case_04.nii.gz": "its name has no channel, such as _0000.nii.gz",
            "notes/a.txt": "lies in none of imagesTr, labelsTr, imagesTs, labelsTs",
        }
        printed = capsys.readouterr().out
        assert '{"background": 0, "aorta": 1}' in printed
        assert "promises 2 training cases, 1 are here" in printed

    def test_another_file_ending(self, root: Path) -> None:
        touch(root, ["imagesTr/a_0000.mha", "imagesTr/b_0000.nii.gz"])
        (root / "dataset.json").write_text('{"file_ending": ".mha", "modality": {"0": "CT"}}')
        assert [row["image"] for row in cohort(root)] == ["data/imagesTr/a_0000.mha"]
        (root / "dataset.json").write_text("{")
        cohort(root, code=2)


class TestPattern:
    def test_sites_sessions_and_columns(self, root: Path, capsys: Said) -> None:
        touch(root, [
            "site-A/Müller_1_ct.nii.gz", "site-A/Müller_1_seg.nii.gz", "site-B/Müller_1_ct.nii.gz", "site-B/x.nii.gz",
        ])  # fmt: skip
        rows = cohort(root, "--pattern", "site-{site}/{patient}_{session}_ct.nii.gz", "--pattern",
                      "annotation=site-{site}/{patient}_{session}_seg.nii.gz")  # fmt: skip
        assert [row["subject"] for row in rows] == ["A-Muller-1", "B-Muller-1"]
        assert rows[0]["patient"] == rows[1]["patient"] == "Müller"
        assert rows[0]["annotation"].endswith("site-A/Müller_1_seg.nii.gz")
        assert unmatched(root) == {"site-B/x.nii.gz": "fits no pattern"}
        assert "1 patients occur at several sites, such as Müller" in capsys.readouterr().out

    def test_decomposed_names_fit_composed_patterns(self, root: Path) -> None:
        """As macOS writes them: u and two dots, where a pattern has one letter."""
        touch(root, ["fru\u0308h-1.nii.gz"])
        (row,) = cohort(root, "--pattern", "fr\u00fch-{patient}.nii.gz")
        assert row["image"] == "data/fru\u0308h-1.nii.gz"

    def test_kinds_are_columns(self, root: Path) -> None:
        touch(root, ["p1/image.nii.gz", "p1/velocity.nii.gz", "p2/image.nii.gz"])
        rows = cohort(root, "--pattern", "{patient}/{kind}.nii.gz")
        assert [sorted(row) for row in rows] == [
            ["image", "patient", "subject", "velocity"], ["image", "patient", "subject"]
        ]  # fmt: skip
        cohort(root, "--pattern", "{patient}/{kind}.nii.gz", "--image", "velocity", code=2)
        touch(root, ["p2/subject.nii.gz"])  # such a column is there already
        cohort(root, "--pattern", "{patient}/{kind}.nii.gz", code=2)

    def test_words_that_pipelines_read(self, root: Path) -> None:
        """As the graded radiographs lie: split, grade, then patient and side without anything between."""
        touch(root, ["train/3/9595235R.png", "train/0/9595235L.png", "val/4/12R.png", "val/7/13R.png", "val/4/14X.png"])
        rows = cohort(root, "--pattern", "{split}/{grade}/{patient}{side}.png")
        assert [(r["subject"], r["patient"], r["side"], r["grade"], r["split"]) for r in rows] == [
            ("12-R", "12", "R", "4", "val"), ("9595235-L", "9595235", "L", "0", "train"),
            ("9595235-R", "9595235", "R", "3", "train"),
        ]  # fmt: skip
        assert set(unmatched(root)) == {"val/7/13R.png", "val/4/14X.png"}
        table = root.parent / "cohort.tsv"
        assert graded_images(str(table), sides=True)["12-R"]["side"] == "right"

    def test_names_that_fit_in_two_ways_are_left_out(self, root: Path) -> None:
        touch(root, ["a_b_c.nii.gz", "a_b.nii.gz"])
        (row,) = cohort(root, "--pattern", "{patient}_{session}.nii.gz")
        assert row["subject"] == "a-b"
        assert unmatched(root) == {"a_b_c.nii.gz": "fits the pattern in two ways: patient 'a' or 'a_b'"}

    @pytest.mark.parametrize(
        ("pattern", "words"),
        [
            ("{subjct}.nii", "place 'subjct' is unknown"),
            ("{site}/*.nii", "has no {patient}"),
            ("{patient", "no {patient}"),
        ],
    )
    def test_patterns_that_say_nothing(self, root: Path, pattern: str, words: str, capsys: Said) -> None:
        touch(root, ["a.nii"])
        cohort(root, "--pattern", pattern, code=2)
        assert words in capsys.readouterr().err

    def test_a_repeated_place_has_one_value(self, root: Path) -> None:
        touch(root, ["p1/p1_ct.nii.gz", "p1/p2_ct.nii.gz"])
        (row,) = cohort(root, "--pattern", "{patient}/{patient}_ct.nii.gz")
        assert row["image"].endswith("p1/p1_ct.nii.gz")


def test_what_pipelines_read(root: Path) -> None:
    """The table is one that `Cohort` and the planning of pipelines take, paths resolved from beside it."""
    touch(root, [f"sub-0{n}/anat/sub-0{n}_T1w.nii.gz" for n in (1, 2)])
    cohort(root)
    table = root.parent / "cohort.tsv"
    assert Cohort.load(table).patients == ["01", "02"]
    rows = cohort_rows(str(table))
    assert Path(rows["02"]["image"]).samefile(root / "sub-02/anat/sub-02_T1w.nii.gz")


def test_the_table_itself_is_no_scan(root: Path) -> None:
    touch(root, ["a.nii.gz", "b.txt"])
    for _ in range(2):
        words = ["cohort", str(root), "--out", str(root / "c.tsv"), "--force", "--pattern", "{patient}.nii.gz"]
        assert main(words) == 0
    assert (root / "c.unmatched.tsv").read_text() == "path\treason\nb.txt\tfits no pattern\n"


def test_a_folder_that_is_nothing_known_is_refused(root: Path, capsys: Said) -> None:
    touch(root, ["a.nii.gz", "b.txt"])
    cohort(root, code=2)
    said = capsys.readouterr().err
    assert "holds no scan by the layout DICOM" in said
    assert "see --layout and --pattern" in said
    assert not list(root.parent.glob("*.key"))
    cohort(root / "absent", code=2)


def test_an_older_table_is_kept_unless_forced(root: Path, capsys: Said) -> None:
    touch(root, ["sub-01/anat/sub-01_T1w.nii.gz"])
    table = root.parent / "cohort.tsv"
    table.write_text("mine")
    assert main(["cohort", str(root), "--out", str(table)]) == 2
    assert "--force" in capsys.readouterr().err
    assert table.read_text() == "mine"
    assert main(["cohort", str(root), "--out", str(root.parent / "no" / "a.tsv")]) == 2
