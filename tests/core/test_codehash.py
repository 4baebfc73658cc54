"""The code hash sees what moves numbers and nothing else."""

from pathlib import Path

import pytest

from voxfield import codehash

FILES = {
    "__init__.py": "",
    "first.py": (
        'PARTS = {"k": "pack.named:K"}\n\n'
        'def f(x):\n    """Doc."""\n    from pack import second\n\n    return second.g(x)  # why\n'
    ),
    "second.py": "from pack.deep.third import H\n\ndef g(x):\n    return x + H\n",
    "unrelated.py": "X = 1\n",
    "named.py": "K = 1\n",
    "deep/__init__.py": "import heavy_and_absent\n",
    "deep/third.py": "H = 1\n",
}


def hashed(root: Path, monkeypatch: pytest.MonkeyPatch, **changes: str) -> str:
    for name, text in FILES.items():
        place = root / "pack" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(changes.get(name.replace("/", "_").removesuffix(".py"), text))
    monkeypatch.syspath_prepend(str(root))
    codehash._source.cache_clear()
    codehash._read.cache_clear()
    return codehash.code_hash("pack.first")


def test_hash_follows_code_through_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = hashed(tmp_path, monkeypatch)
    assert hashed(tmp_path, monkeypatch, first=FILES["first.py"].replace("Doc.", "Other.").replace("# why", "")) == base
    assert hashed(tmp_path, monkeypatch, unrelated="X = 2\n") == base
    assert hashed(tmp_path, monkeypatch, second=FILES["second.py"].replace("x + H", "x - H")) != base
    assert hashed(tmp_path, monkeypatch, deep_third="H = 2\n") != base
    assert hashed(tmp_path, monkeypatch, named="K = 2\n") != base


def test_hash_covers_the_templates_beside_a_module_that_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pack" / "templates").mkdir(parents=True)
    page = tmp_path / "pack" / "templates" / "page.j2"
    named = {"second": FILES["second.py"] + 'PLACE = "templates"\n'}
    found = []
    for text in ("one", "two"):
        page.write_text(text)
        found += [hashed(tmp_path, monkeypatch), hashed(tmp_path, monkeypatch, **named)]
    assert found[0] == found[2]
    assert found[1] != found[3]


def test_hash_of_a_stage_covers_the_artifacts_and_not_the_frame() -> None:
    path = codehash._source("voxfield.io._cohort")
    assert path is not None
    imports = codehash._read("voxfield.io._cohort", path, path.stat().st_mtime_ns)[1]
    assert "voxfield.artifacts" in imports
    assert "voxfield.stage" in codehash.FRAME
