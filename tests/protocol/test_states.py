"""The tables of transitions, and that they are the only way to move."""

import itertools

import pytest

from hwangso_protocol.errors import LocalProtocolError
from hwangso_protocol.states import (
    CLIENT,
    SERVER,
    Signal,
    State,
    Transitions,
    diagram,
    next_state,
)

TABLES = pytest.mark.parametrize("table", [SERVER, CLIENT], ids=["server", "client"])


@TABLES
def test_what_is_in_the_table_happens_and_all_else_raises(table: Transitions) -> None:
    for state, signal in itertools.product(State, Signal):
        if (state, signal) in table:
            assert next_state(table, state, signal) is table[state, signal]
        else:
            with pytest.raises(LocalProtocolError, match=f"in state '{state.value}'"):
                next_state(table, state, signal)


@TABLES
def test_closed_is_the_end_and_reached_from_everywhere(table: Transitions) -> None:
    assert all(state is not State.CLOSED for state, _ in table)
    for state in {state for state, _ in table}:
        assert table[state, Signal.FAULT] is State.CLOSED
        assert table[state, Signal.EOF] is State.CLOSED


@TABLES
def test_every_state_can_be_reached_from_the_hello(table: Transitions) -> None:
    reached = {State.HELLO}
    while True:
        more = {to for (state, _), to in table.items() if state in reached} | reached
        if more == reached:
            break
        reached = more
    assert reached == {state for state, _ in table} | {State.CLOSED}


def test_a_server_goes_live_only_by_a_record_of_the_client() -> None:
    """A first message can be replayed by anybody; only these two signals need the keys."""
    into_live = {edge for edge, to in SERVER.items() if to is State.LIVE}
    assert into_live == {
        (State.UNPROVEN, Signal.PROVEN),
        (State.ENROLLING, Signal.WELCOMED),
    }
    into_enrolling = {edge for edge, to in SERVER.items() if to is State.ENROLLING}
    assert into_enrolling == {(State.UNPROVEN, Signal.ENROL_RECEIVED)}


def test_a_diagram_shows_all_transitions_but_the_common_ends() -> None:
    table: Transitions = {
        (State.HELLO, Signal.ACCEPTED): State.LIVE,
        (State.LIVE, Signal.BYE): State.CLOSED,
        (State.LIVE, Signal.EOF): State.CLOSED,
        (State.HELLO, Signal.FAULT): State.CLOSED,
    }
    assert diagram(table) == (
        "stateDiagram-v2\n    [*] --> hello\n    hello --> live: accepted\n    live --> closed: bye"
    )
