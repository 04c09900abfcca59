"""The examples of the agent's protocol that the TypeScript side parses too: test/fixtures/agent-protocol."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "test" / "fixtures" / "agent-protocol"

Json = dict[str, Any]


def lines() -> Json:
    return json.loads((FOLDER / "lines.json").read_text())


def cases() -> list[tuple[str, Json]]:
    """Each verb with each of its cases."""
    found: list[tuple[str, Json]] = []
    for path in sorted(FOLDER.glob("*.json")):
        content = json.loads(path.read_text().replace("$FIXTURES", str(FOLDER.parent)))
        found += [(content["verb"], case) for case in content.get("cases", [])]
    return found


def result_of(verb: str, name: str) -> Json:
    return next(case["result"] for one, case in cases() if one == verb and case["name"] == name)
