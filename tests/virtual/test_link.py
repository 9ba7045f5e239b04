"""Links: delay, loss, outage."""

import random

import pytest

from hwangso_tools.virtual.link import Link, LinkProfile


def test_latency_and_jitter() -> None:
    link = Link(LinkProfile(0.1, jitter_s=0.05), random.Random(1))
    delays = [link.delay_s() for _ in range(1000)]
    assert 0.1 <= min(delays) < 0.101
    assert 0.149 < max(delays) <= 0.15


def test_loss() -> None:
    link = Link(LinkProfile(loss=0.25), random.Random(1))
    assert 200 < sum(not link.passes() for _ in range(1000)) < 300


def test_an_outage() -> None:
    link = Link(LinkProfile(), random.Random(1))
    assert link.passes()
    link.cut()
    assert not link.passes()
    link.restore()
    assert link.passes()


@pytest.mark.parametrize(
    ("latency_s", "jitter_s", "loss"), [(-0.1, 0, 0), (0, -0.1, 0), (0, 0, -0.1), (0, 0, 1)]
)
def test_what_no_link_can_be(latency_s: float, jitter_s: float, loss: float) -> None:
    with pytest.raises(ValueError, match="latency and jitter from 0, loss from 0 to below 1"):
        LinkProfile(latency_s, jitter_s, loss)
