"""The states of a connection, all transitions in one table a side.

Theory of operation. Two rules, after h11:

1. A connection's state changes only through `next_state`, by a signal: something that we did, or
   that the peer did.
2. What is not in the table cannot happen: from the peer it is a fault, from our own caller a
   LocalProtocolError.

The diagrams in `protocol/README.md` are drawn from these tables; a test compares them.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from hwangso_protocol.errors import LocalProtocolError


class State(Enum):
    """Where a connection is.

    HELLO       server: the hello has not come yet; client: it is sent, no answer yet
    DECIDING    server: the hello is here; the caller admits, defers or refuses
    OPENED      server: the first Noise message was read; the caller looks up who it is
    UNPROVEN    server: answered; whoever sent the hello has not shown that it is not a replay
    ENROLLING   the handshake is done, the password is being checked
    LIVE        messages flow
    CLOSED      nothing more is read or written
    """

    HELLO = "hello"
    DECIDING = "deciding"
    OPENED = "opened"
    UNPROVEN = "unproven"
    ENROLLING = "enrolling"
    LIVE = "live"
    CLOSED = "closed"


class Signal(Enum):
    """What moves a connection from state to state."""

    HELLO_RECEIVED = "hello received"
    FIRST_MESSAGE_READ = "first Noise message read"
    ACCEPTED = "accepted"
    ACCEPTED_ENROL = "accepted, to enrol"
    DENIED = "denied"
    DEFERRED = "deferred"
    REFUSED = "refused"
    PROVEN = "first record"
    ENROL_RECEIVED = "enrol received"
    WELCOMED = "welcome"
    BYE = "bye"
    FAULT = "fault"
    EOF = "end of stream"


Transitions = Mapping[tuple[State, Signal], State]


def _ends_from(*states: State) -> dict[tuple[State, Signal], State]:
    return {(state, signal): State.CLOSED for state in states for signal in _ENDS}


_ENDS = (Signal.FAULT, Signal.EOF)

SERVER: Final[Transitions] = {
    (State.HELLO, Signal.HELLO_RECEIVED): State.DECIDING,
    (State.HELLO, Signal.REFUSED): State.CLOSED,
    (State.DECIDING, Signal.DEFERRED): State.CLOSED,
    (State.DECIDING, Signal.REFUSED): State.CLOSED,
    (State.DECIDING, Signal.FIRST_MESSAGE_READ): State.OPENED,
    (State.OPENED, Signal.REFUSED): State.CLOSED,
    (State.OPENED, Signal.DENIED): State.CLOSED,
    (State.OPENED, Signal.ACCEPTED): State.UNPROVEN,
    (State.UNPROVEN, Signal.PROVEN): State.LIVE,
    (State.UNPROVEN, Signal.ENROL_RECEIVED): State.ENROLLING,
    (State.UNPROVEN, Signal.BYE): State.CLOSED,
    (State.ENROLLING, Signal.WELCOMED): State.LIVE,
    (State.ENROLLING, Signal.BYE): State.CLOSED,
    (State.LIVE, Signal.BYE): State.CLOSED,
    **_ends_from(
        State.HELLO, State.DECIDING, State.OPENED, State.UNPROVEN, State.ENROLLING, State.LIVE
    ),
}

CLIENT: Final[Transitions] = {
    (State.HELLO, Signal.DEFERRED): State.CLOSED,
    (State.HELLO, Signal.REFUSED): State.CLOSED,
    (State.HELLO, Signal.DENIED): State.CLOSED,
    (State.HELLO, Signal.ACCEPTED): State.LIVE,
    (State.HELLO, Signal.ACCEPTED_ENROL): State.ENROLLING,
    (State.ENROLLING, Signal.WELCOMED): State.LIVE,
    (State.ENROLLING, Signal.BYE): State.CLOSED,
    (State.LIVE, Signal.BYE): State.CLOSED,
    **_ends_from(State.HELLO, State.ENROLLING, State.LIVE),
}


def next_state(transitions: Transitions, state: State, signal: Signal) -> State:
    """The state after `signal`. Raises LocalProtocolError if it cannot happen in `state`."""
    try:
        return transitions[state, signal]
    except KeyError:
        raise LocalProtocolError(f"{signal.value!r} in state {state.value!r}") from None


def diagram(transitions: Transitions) -> str:
    """The table as a Mermaid state diagram. Faults and ends of stream, which close from every
    state, are left out."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.HELLO.value}"]
    lines += [
        f"    {state.value} --> {to.value}: {signal.value}"
        for (state, signal), to in transitions.items()
        if signal not in _ENDS
    ]
    return "\n".join(lines)
