"""A dictionary that holds at most so many keys."""

from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwangso_server.bounded import BoundedDict


def test_the_least_recently_used_makes_room() -> None:
    bounded = BoundedDict[str, int](2)
    bounded.put("a", 1)
    bounded.put("b", 2)
    assert bounded.get("a") == 1
    bounded.put("c", 3)
    assert (bounded.get("a"), bounded.get("b"), bounded.get("c")) == (1, None, 3)
    assert len(bounded) == 2


def test_zero_is_a_value() -> None:
    bounded = BoundedDict[str, int](1)
    bounded.put("a", 0)
    assert bounded.get("a") == 0
    assert len(bounded) == 1


def test_forgetting() -> None:
    bounded = BoundedDict[str, int](2)
    bounded.put("a", 1)
    bounded.forget("a")
    bounded.forget("a")
    assert bounded.get("a") is None
    assert len(bounded) == 0


def test_it_holds_something() -> None:
    with pytest.raises(ValueError, match="at least one"):
        BoundedDict[str, int](0)


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.sampled_from(["get", "put", "forget"]), st.integers(0, 6))),
)
def test_like_an_ordered_dictionary(limit: int, steps: list[tuple[str, int]]) -> None:
    bounded = BoundedDict[int, int](limit)
    model = OrderedDict[int, int]()
    for number, (what, key) in enumerate(steps):
        match what:
            case "get":
                assert bounded.get(key) == model.get(key)
                if key in model:
                    model.move_to_end(key)
            case "put":
                bounded.put(key, number)
                model[key] = number
                model.move_to_end(key)
                if len(model) > limit:
                    model.popitem(last=False)
            case _:
                bounded.forget(key)
                model.pop(key, None)
        assert len(bounded) == len(model)
