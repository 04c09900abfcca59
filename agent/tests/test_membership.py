from collections.abc import Iterator
from typing import Any

import pytest

from pdjob_agent.node import membership as told_module
from pdjob_agent.node.membership import Stale, Told, names

from .admin_api import AdminApi
from .memberships import known, member, membership


@pytest.fixture
def api() -> Iterator[AdminApi]:
    one = AdminApi()
    yield one
    one.server.shutdown()
    one.server.server_close()


def call(path: str, **more: Any) -> dict[str, Any]:
    return {"method": "POST", "url": path, "headers": {}, "accept": [], **more}


def by_http(*given: str, only: tuple[str, ...] = ("add", "remove"), **more: Any) -> dict[str, Any]:
    calls = [{"name": name, **{verb: call(f"/{verb}/10.0.0.1:{name}", **more) for verb in only}} for name in given]
    return {"kind": "http", "calls": calls}


def started(api: AdminApi, *given: str) -> Told:
    told = Told(lambda: api.base, "/nowhere")
    told.start(membership(0, *given), by_http(*given))
    api.members.update(f"10.0.0.1:{name}" for name in given)
    return told


def test_only_what_changed_is_told_and_added_before_anything_is_removed(api: AdminApi) -> None:
    told = started(api, "1", "2")
    assert told.tell(membership(1, "2", "3"), by_http("2", "3")) == []
    assert api.calls == ["POST /add/10.0.0.1:3", "POST /remove/10.0.0.1:1"]
    assert told.acknowledged() == membership(1, "2", "3")


def test_when_nobody_stays_the_old_ones_go_before_any_new_one_comes(api: AdminApi) -> None:
    def of(generation: int, *given: str) -> dict[str, Any]:
        roles = {"1": "prefill", "3": "prefill"}
        return {
            "generation": generation,
            "members": [{**member(name), "role": roles.get(name, "decode")} for name in given],
        }

    told = Told(lambda: api.base, "/nowhere")
    told.start(of(0, "1", "2"), by_http("1", "2"))
    assert told.tell(of(1, "3", "4"), by_http("3", "4")) == []
    # No request is let in between: a proxy asks prefill first.
    assert api.calls == [
        "POST /remove/10.0.0.1:1",
        "POST /remove/10.0.0.1:2",
        "POST /add/10.0.0.1:4",
        "POST /add/10.0.0.1:3",
    ]
    assert told.acknowledged()["members"] == of(1, "4", "3")["members"]


def test_the_same_membership_again_is_no_call_at_all(api: AdminApi) -> None:
    told = started(api, "1")
    for _ in range(3):
        assert told.tell(membership(1, "1", "2"), by_http("1", "2")) == []
    assert api.calls == ["POST /add/10.0.0.1:2"]


def test_bodies_and_headers_are_sent_as_given(api: AdminApi) -> None:
    told = started(api)
    telling = by_http("1", body='{"type": "decode"}', headers={"X-API-Key": "k"})
    assert told.tell(membership(1, "1"), telling) == []
    assert (api.bodies, api.headers) == ([{"type": "decode"}], ["k"])


def test_an_error_status_is_told_and_the_other_changes_are_made_all_the_same(api: AdminApi) -> None:
    told = started(api, "1")
    api.answers["/add/10.0.0.1:2"] = 503
    problems = told.tell(membership(1, "2", "3"), by_http("2", "3"))
    assert problems == [f"POST {api.base}/add/10.0.0.1:2 for 2 was answered 503: as you wish"]
    assert known(told) == ["3"]
    api.answers.clear()
    assert told.tell(membership(2, "2", "3"), by_http("2", "3")) == []
    assert told.acknowledged() == membership(2, "3", "2")


def test_a_status_that_the_config_accepts_is_no_error(api: AdminApi) -> None:
    told = started(api)
    api.answers["/add/10.0.0.1:1"] = 409
    assert told.tell(membership(1, "1"), by_http("1", accept=[409])) == []


@pytest.mark.parametrize(("verb", "status"), [("add", 409), ("remove", 404), ("remove", 410)])
def test_after_a_lost_answer_such_a_status_says_that_the_call_had_arrived(
    api: AdminApi, verb: str, status: int
) -> None:
    told = started(api, *(["1"] if verb == "remove" else []))
    wanted = () if verb == "remove" else ("1",)
    path = f"/{verb}/10.0.0.1:1"
    api.answers[path] = status
    assert told.tell(membership(1, *wanted), by_http(*wanted)) != []
    del api.answers[path]
    api.hang_up_after = path
    (problem,) = told.tell(membership(2, *wanted), by_http(*wanted))
    assert problem.startswith(f"POST {api.base}{path} for 1 got no answer: ")
    api.answers[path] = status
    assert told.tell(membership(3, *wanted), by_http(*wanted)) == []
    assert known(told) == list(wanted)


def test_nobody_listening_is_told_and_is_no_reason_to_believe_a_404_later(api: AdminApi) -> None:
    base = ["http://127.0.0.1:9"]
    told = Told(lambda: base[0], "/nowhere")
    told.start(membership(0, "1"), by_http("1"))
    assert told.tell(membership(1), by_http()) == [
        "POST http://127.0.0.1:9/remove/10.0.0.1:1 for 1 got no answer: Connection refused"
    ]
    base[0] = api.base
    api.answers["/remove/10.0.0.1:1"] = 404
    assert told.tell(membership(2), by_http()) != []


def test_a_call_that_the_config_does_not_have_is_told(api: AdminApi) -> None:
    told = Told(lambda: api.base, "/nowhere")
    told.start(membership(0), by_http())
    assert told.tell(membership(1, "1"), by_http("1", only=("remove",))) == ["1: there is no call to add it"]


def test_the_list_of_the_proxy_is_believed_more_than_its_answers(api: AdminApi) -> None:
    told = started(api, "1", "2")
    listing = call("/list", method="GET")
    api.members.discard("10.0.0.1:1")  # Gone by itself: what was not changed is not judged.
    telling = {**by_http("1", "2", "3"), "list": listing}
    assert told.tell(membership(1, "1", "2", "3"), telling) == []
    api.answers |= {"/remove/10.0.0.1:2": 202, "/add/10.0.0.1:4": 202}
    problems = told.tell(membership(2, "1", "3", "4"), {**by_http("1", "3", "4"), "list": listing})
    assert problems == [
        f"GET {api.base}/list does not name http://10.0.0.1:4 of 4",
        f"GET {api.base}/list still names http://10.0.0.1:2 of 2",
    ]
    assert sorted(known(told)) == ["1", "2", "3"]


def test_calls_past_the_time_for_all_are_left_to_the_next_try(api: AdminApi, monkeypatch: pytest.MonkeyPatch) -> None:
    told = started(api)
    monkeypatch.setattr(told_module, "TELL_TIMEOUT_S", -1.0)
    (problem,) = told.tell(membership(1, "1"), by_http("1"))
    assert "was not sent: the calls before it took longer than" in problem
    assert api.calls == []


def test_an_older_membership_than_the_last_one_changes_nothing(api: AdminApi) -> None:
    told = started(api, "1")
    assert told.tell(membership(5, "1", "2"), by_http("1", "2")) == []
    with pytest.raises(Stale):
        told.tell(membership(4, "1"), by_http("1"))
    assert known(told) == ["1", "2"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('["http://10.0.0.1:80"]', True),
        ("10.0.0.1:80,x", True),
        ("10.0.0.1:8000", False),
        ("110.0.0.1:80", False),
        ("a.10.0.0.1:80", False),
        ("[fd00::1]:80", False),
    ],
)
def test_a_member_is_named_by_its_whole_address(text: str, named: bool) -> None:
    assert names(text, "http://10.0.0.1:80") is named
