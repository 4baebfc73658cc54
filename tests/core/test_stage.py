"""The contract: what registration refuses, and how a stage behaves in Python."""

from typing import NamedTuple

import numpy as np
import pytest

from toys._scale import scale
from voxfield.artifacts import Image, Table
from voxfield.errors import SettingsError
from voxfield.settings import parse_assignments
from voxfield.stage import Context, stage


class Out(NamedTuple):
    result: Image


def image() -> Image:
    return Image(np.ones((2, 2, 2), "f4"), np.eye(4))


def test_signature_becomes_ports_and_settings() -> None:
    assert scale.name == "toys.scale"
    assert [(p.name, p.many, p.optional) for p in scale.inputs] == [
        ("image", False, False),
        ("table", False, True),
        ("others", True, True),
    ]
    assert [p.name for p in scale.outputs] == ["scaled", "metrics"]
    assert list(scale.settings.fields) == ["factor", "mode", "shape"]


def test_call_in_memory_validates_settings() -> None:
    assert scale(image(), factor=3.0).scaled.data.max() == 3
    with pytest.raises(SettingsError, match=r"'factor' is 11.0: input should be less than or equal to 10"):
        scale(image(), factor=11.0)
    with pytest.raises(SettingsError, match="'mode' is 'wild'"):
        scale(image(), mode="wild")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"factr": 1.0}, "setting 'factr' is unknown; the nearest known one is 'factor'"),
        ({"factor": "2"}, "'factor' is '2'"),
        ({"factor": True}, "'factor' is True"),
        ({"factor": float("nan")}, "plain finite values"),
        ({"shape": [1, 2.5]}, "'shape.1' is 2.5"),
        ({"shape": [1]}, "'shape.1'"),
    ],
)
def test_bad_settings_are_told_in_one_line_each(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        scale.settings.validate(values)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_mistake_gets_its_line() -> None:
    with pytest.raises(SettingsError) as caught:
        scale.settings.validate({"factor": -1, "mode": "x", "nothing": 1})
    assert len(str(caught.value).splitlines()) == 3


def test_assignments_are_yaml() -> None:
    given = parse_assignments(["a=1e-3", "b=[1, 2]", "c=text", "d=null", "e=true", "f=no"])
    assert given == {"a": 0.001, "b": [1, 2], "c": "text", "d": None, "e": True, "f": "no"}
    assert parse_assignments(["subject=01"], text=["subject"]) == {"subject": "01"}
    with pytest.raises(SettingsError, match="twice"):
        parse_assignments(["a=1", "a=2"])
    with pytest.raises(SettingsError, match="name=value"):
        parse_assignments(["a"])


def test_findings_belong_to_one_call() -> None:
    first, second = Context(), Context()
    scale(image(), ctx=first)
    scale(image(), ctx=second)
    assert first.findings.codes() == second.findings.codes() == ["scaled"]


def test_seed_decides_every_random_number() -> None:
    one, same, other = (scale(image(), mode="noisy", ctx=Context(seed=s)).scaled.data for s in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_registration_refuses_what_has_no_command_line() -> None:
    def twice(result: Image, *, ctx: Context = Context()) -> Out:
        return Out(result)

    def reserved(image: Image, *, seed: int = 0, ctx: Context = Context()) -> Out:
        return Out(image)

    def no_default(image: Image, *, size: int, ctx: Context = Context()) -> Out:
        return Out(image)

    def no_tuple(image: Image, *, ctx: Context = Context()) -> Image:
        return image

    def no_artifact(image: int, *, ctx: Context = Context()) -> Out:
        raise AssertionError

    def no_context(image: Image) -> Out:
        return Out(image)

    for function, words in (
        (twice, "used twice"),
        (reserved, "reserved: seed"),
        (no_default, "without a default: size"),
        (no_tuple, "NamedTuple"),
        (no_artifact, "no artifact kind"),
        (no_context, "ctx"),
    ):
        function.__module__ = "toys._made_here"
        with pytest.raises(TypeError, match=words):
            stage()(function)  # type: ignore[arg-type, type-var]


def test_table_is_optional() -> None:
    assert scale(image(), Table({"a": [1]})).metrics.values["rows"] == 1
