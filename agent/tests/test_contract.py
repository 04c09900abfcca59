from pathlib import Path
from typing import Any

import pytest

from pdjob_agent.errors import AgentError
from pdjob_agent.verbs import VERBS

from . import contract
from .contract import Json
from .conversation import talk
from .fake_cluster import FakeCluster


def test_every_verb_has_examples() -> None:
    assert {verb for verb, _ in contract.cases()} == set(VERBS)


@pytest.mark.parametrize(
    ("verb", "case"), [pytest.param(verb, case, id=f"{verb}: {case['name']}") for verb, case in contract.cases()]
)
def test_a_verb_answers_as_its_example_says_field_for_field(
    verb: str, case: Json, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cluster = FakeCluster(case.get("given"))
    if "error" in case:
        with pytest.raises(AgentError) as caught:
            VERBS[verb](cluster, case["args"])
        assert caught.value.as_json() == case["error"]
    else:
        assert VERBS[verb](cluster, case["args"]) == case["result"]


@pytest.mark.parametrize("exchange", [pytest.param(one, id=one["name"]) for one in contract.lines()["exchanges"]])
def test_a_line_is_answered_as_its_example_says(exchange: Json) -> None:
    cluster = FakeCluster()

    def handle(verb: str, args: dict[str, Any]) -> dict[str, Any]:
        return VERBS[verb](cluster, args)

    assert talk([exchange["line"]], handle) == [exchange["answer"]]
