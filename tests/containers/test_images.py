"""What can be said of the container files without building them: they copy what is there and install as `make` does."""

import fnmatch
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "containers"
DOCKER = (PLACE / "Dockerfile").read_text()
APPTAINER = (PLACE / "voxfield.def").read_text()
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def instructions() -> list[list[str]]:
    """Those of the Dockerfile, lines that go on joined."""
    lines = re.sub(r"\\\n", " ", "\n".join(line for line in DOCKER.splitlines() if not line.startswith("#")))
    return [shlex.split(line) for line in lines.splitlines() if line]


def section(name: str) -> list[str]:
    """Lines of a section of the Apptainer definition, lines that go on joined."""
    text = APPTAINER.split(f"%{name}\n")[1].split("\n%")[0]
    return [line.strip() for line in re.sub(r"\\\n", " ", text).splitlines() if line.strip()]


def commands(lines: list[str]) -> set[str]:
    """The pip commands in some lines of shell, without the names that either format has for its arguments."""
    found = [part.strip() for line in lines for part in line.split("&&")]
    same = (re.sub(r"\{\{ (\w+) \}\}", r"${\1}", re.sub(r"\s+", " ", part)) for part in found)
    return {part for part in same if " pip " in part or "requirements.py" in part}


def copied() -> list[str]:
    """What the Dockerfile copies from the checkout."""
    return [
        path for word, *rest in instructions() if word == "COPY" and not rest[0].startswith("--") for path in rest[:-1]
    ]


def test_what_is_copied_is_there_and_reaches_the_builder() -> None:
    files = [line.split()[0] for line in section("files")]
    assert sorted(files) == sorted(copied())
    ignored = (PLACE / "Dockerfile.dockerignore").read_text().splitlines()
    kept = [line[1:] for line in ignored if line.startswith("!")]
    assert "*" in ignored
    for path in copied():
        assert (ROOT / path).exists(), path
        assert any(fnmatch.fnmatch(path, pattern) for pattern in kept), path
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    for path in [*(package.split("/")[0] for package in built["packages"]), *built["force-include"]]:
        assert path in files, path


def test_both_install_the_tested_versions_as_make_does() -> None:
    steps = re.sub(r"\\\n", " ", DOCKER).splitlines()
    docker = commands([step.removeprefix("RUN ") for step in steps if step.startswith("RUN ")])
    assert docker == commands(section("post"))
    makefile = re.search(r"^PIP = \$\(BIN\)/python -m pip install (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert makefile is not None
    [dependencies] = [line for line in docker if "-r requirements.txt" in line]
    assert set(shlex.split(makefile[1])) <= set(shlex.split(dependencies))
    assert not any("dev" in shlex.split(line) for line in docker)


@pytest.mark.parametrize("text", [DOCKER, APPTAINER])
def test_labels_and_bases(text: str) -> None:
    assert re.search(rf'image\.version[= ]"?{re.escape(VERSION)}"?\s', text)
    assert "PYTHON=3.11-slim-bookworm" in text
    assert "TORCH_INDEX=https://download.pytorch.org/whl/cpu\n" in text
    assert "PREFIX=/opt/voxfield\n" in text
    assert "UNTESTED" in text
    python = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["python_version"]
    assert f"PYTHON={python}-" in text


def test_the_image_runs_as_nobody_special() -> None:
    last = [words for words in instructions() if words[0] in {"USER", "ENTRYPOINT", "WORKDIR"}][-3:]
    assert last == [["USER", "voxfield"], ["WORKDIR", "/data"], ["ENTRYPOINT", "[voxfield]"]]
    assert all(words[1] != "root" for words in instructions() if words[0] == "USER")
    assert not any(word in DOCKER for word in ("apt-get", "sudo", "ADD ", ":latest"))


def test_requirements_are_those_of_the_project() -> None:
    done = subprocess.run(
        [sys.executable, str(PLACE / "requirements.py"), str(ROOT / "pyproject.toml"), "formats"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert done.stdout.splitlines() == [*project["dependencies"], *project["optional-dependencies"]["formats"]]
    pinned = {
        line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    for need in done.stdout.splitlines():
        assert re.split(r"[>=<\[]", need)[0].lower() in pinned, need
