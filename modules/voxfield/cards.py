"""The card of a stage: what `voxfield describe` prints and what the documentation shows, made from the signature."""

import inspect
import json
from typing import Any

from voxfield.codehash import code_hash
from voxfield.stage import Port, Stage


def card(stage: Stage[..., Any]) -> str:
    """A page of Markdown about a stage."""
    need = stage.resources
    lines = [
        f"# {stage.name}",
        "",
        "```text",  # as it was written: shapes and settings stand in columns
        (inspect.getdoc(stage.function) or "").strip(),
        "```",
        "",
        "## In",
        *[_port_line(port, f"--{port.flag}") for port in stage.inputs],
        "",
        "## Out",
        *[_port_line(port, f"--out-{port.flag}") for port in stage.outputs],
        "",
        "## Settings",
        *_setting_lines(stage),
        "",
        f"Version {stage.version}. Wants {need.threads} thread(s), {need.mem_mb} MB, "
        f"{need.runtime} min{', a GPU' if need.gpu else ''}.",
    ]
    return "\n".join(lines) + "\n"


def schema(stage: Stage[..., Any]) -> str:
    """Inputs, outputs and the JSON Schema of the settings, for programs."""
    content = {
        "stage": stage.name,
        "version": stage.version,
        "code": code_hash(stage.module),
        "inputs": [_port_json(port) for port in stage.inputs],
        "outputs": [_port_json(port) for port in stage.outputs],
        "settings": stage.settings.schema(),
        "resources": vars(stage.resources),
    }
    return json.dumps(content, indent=1) + "\n"


def _port_line(port: Port, flag: str) -> str:
    return f"- `{port.name}`: {port.describe()}{f' ({port.kind.suffix})' if port.kind.suffix else ''}, `{flag}`"


def _port_json(port: Port) -> dict[str, Any]:
    return {"name": port.name, "kind": port.kind.kind, "many": port.many, "optional": port.optional}


def _setting_lines(stage: Stage[..., Any]) -> list[str]:
    properties = stage.settings.schema().get("properties", {})
    lines = []
    for name, facts in properties.items():
        allowed = ", ".join(_constraints(facts))
        lines.append(f"- `{name}` = {json.dumps(facts.get('default'))}{f' ({allowed})' if allowed else ''}")
    return lines or ["none"]


def _constraints(facts: dict[str, Any]) -> list[str]:
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    found = [_type_name(facts)]
    for part in (facts, *facts.get("anyOf", [])):
        found += [f"{sign} {part[key]}" for key, sign in signs.items() if key in part]
    return [text for text in found if text]


def _type_name(facts: dict[str, Any]) -> str:
    if "enum" in facts:
        return " | ".join(json.dumps(value) for value in facts["enum"])
    if "anyOf" in facts:
        return " | ".join(_type_name(part) for part in facts["anyOf"])
    return str(facts.get("const", facts.get("type", "")))
