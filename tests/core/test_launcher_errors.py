"""An error of one process alone: it is heard, and the other does not wait for it."""

from pathlib import Path

from core.together import add, prepare


def test_a_refusal_of_one_process_is_heard(tmp_path: Path) -> None:
    prepare(tmp_path)
    assert add(tmp_path, "refuse-one") == (2, "error: the second process can not read it\n")


def test_a_bug_of_one_process_shows_its_traceback(tmp_path: Path) -> None:
    prepare(tmp_path)
    code, said = add(tmp_path, "bug-one")
    assert code == 1
    assert said.count("Traceback (most recent call last)") == 1
    assert "ZeroDivisionError: of the second process" in said
