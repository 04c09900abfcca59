import pytest

from pdjob_agent.names import parse


@pytest.mark.parametrize(
    ("full", "expected"),
    [
        ("a-prefill-0-g1", ("a", "a-prefill-0", 1, 0)),
        ("my-job-decode-12-g34", ("my-job", "my-job-decode-12", 34, 0)),
        ("a-prefill-0-g1-decode-0-g2", ("a-prefill-0-g1", "a-prefill-0-g1-decode-0", 2, 0)),
        ("a-prefill-0-g1-r3", ("a", "a-prefill-0", 1, 3)),
        ("a-prefill-0-g1-r3-decode-0-g2-r10", ("a-prefill-0-g1-r3", "a-prefill-0-g1-r3-decode-0", 2, 10)),
        ("a-proxy-g7", ("a", "a-proxy", 7, 0)),
        ("a-proxy-g7-r1", None),
        ("a-prefill-0-g1-r0", None),
        ("a-router-0-g1", None),
        ("prefill-0-g1", None),
        ("a-prefill-0", None),
    ],
)
def test_names_are_read_from_the_end(full: str, expected: tuple[str, str, int, int] | None) -> None:
    name = parse(full)
    assert (name and (name.job, name.base, name.generation, name.rank)) == expected
