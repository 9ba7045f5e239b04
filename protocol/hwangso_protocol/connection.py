"""What both sides of a connection have in common: buffers, records, and the rules of closing.

Sans-I/O: bytes in through `receive_data`, events out; bytes to send out through `data_to_send`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from hwangso_protocol.errors import Fault, LocalProtocolError, ProtocolError, UnknownMessageError
from hwangso_protocol.events import (
    Event,
    MessageReceived,
    PeerClosed,
    PeerFault,
    UnknownMessage,
)
from hwangso_protocol.messages import (
    Bye,
    ByeReason,
    Error,
    ErrorCode,
    Message,
    decode,
    encode,
)
from hwangso_protocol.records import RecordLayer, split_record
from hwangso_protocol.states import Signal, State, Transitions, next_state


class Connection(ABC):
    """Base of ServerConnection and ClientConnection; use those."""

    __slots__ = ("_incoming", "_outgoing", "_records", "state")

    _transitions: Transitions
    _readable: Mapping[str, type[Message]]

    def __init__(self) -> None:
        self.state = State.HELLO
        self._incoming = b""
        self._outgoing: list[bytes] = []
        self._records: RecordLayer | None = None

    def receive_data(self, data: bytes) -> list[Event]:
        """Take bytes from the peer, give what they mean, in order.

        Never raises for what a peer sends: its faults come as the last event, PeerFault. The
        caller then sends what `data_to_send` gives and closes the socket. After CLOSED all bytes
        are ignored.
        """
        events: list[Event] = []
        if self.state is State.CLOSED:
            return events
        try:
            self._read(self._incoming + data if self._incoming else data, events)
        except ProtocolError as error:
            self._incoming = b""
            self._answer_fault(error)
            self._move(Signal.FAULT)
            # Without tracebacks, whose frames hold `events`: a cycle for each stranger's fault.
            error.__context__ = None
            events.append(PeerFault(error.with_traceback(None)))
        return events

    def receive_eof(self) -> list[Event]:
        """The peer's stream ended. Close the socket."""
        if self.state is State.CLOSED:
            return []
        self._move(Signal.EOF)
        return [PeerClosed(None)]

    def data_to_send(self) -> bytes:
        """All bytes that wait to be sent, once. Send them in order before closing the socket."""
        outgoing = self._outgoing
        if not outgoing:
            return b""
        data = outgoing[0] if len(outgoing) == 1 else b"".join(outgoing)
        outgoing.clear()
        return data

    def send(self, message: Message) -> None:
        """Queue a message. Raises LocalProtocolError unless the connection is LIVE, ValueError if
        the message is too large for a record."""
        if self.state is not State.LIVE:
            raise LocalProtocolError(f"send in state {self.state.value!r}")
        self._seal(message)

    def close(self, reason: ByeReason) -> None:
        """Say Bye where the peer can read it, and close. Nothing is read or sent after it."""
        if self.state is State.CLOSED:
            return
        if self._records is not None:
            self._seal(Bye(reason))
            self._move(Signal.BYE)
        else:
            self._move(Signal.FAULT)

    def cool(self) -> None:
        """Free what a silent connection does not need; the next message makes it again."""
        if self._records is not None:
            self._records.cool()

    @abstractmethod
    def _read(self, data: bytes, events: list[Event]) -> None:
        """Handle all that is complete in `data`, keep the rest in `_incoming`."""

    def _answer_fault(self, error: ProtocolError) -> None:
        if self._records is not None:
            self._seal(Bye(ByeReason.PROTOCOL_ERROR))

    @abstractmethod
    def _message_read(self, message: Message, events: list[Event]) -> None:
        """Check that `message` may come in this state, and report it."""

    def _move(self, signal: Signal) -> None:
        self.state = next_state(self._transitions, self.state, signal)

    def _seal(self, message: Message) -> None:
        self._seal_bytes(encode(message))

    def _seal_bytes(self, message: bytes) -> None:
        if self._records is None:
            raise LocalProtocolError("no keys yet")
        self._outgoing.append(self._records.seal(message))

    def _read_records(self, data: bytes, events: list[Event]) -> None:
        records = self._records
        if records is None:
            raise LocalProtocolError("no keys yet")
        at = 0
        while self.state is not State.CLOSED:
            record = split_record(data, at)
            if record is None:
                self._incoming = data[at:] if at else data
                return
            ciphertext, at = record
            try:
                message = decode(records.open(ciphertext), self._readable)
            except UnknownMessageError as error:
                self._unknown_message_read(error.tag, events)
            else:
                self._message_read(message, events)
        self._incoming = b""

    def _unknown_message_read(self, tag: str, events: list[Event]) -> None:
        """An Error is known to every peer and never answered, so this cannot go back and forth."""
        self._seal(Error(ErrorCode.UNKNOWN_MESSAGE, detail=tag))
        events.append(UnknownMessage(tag))

    def _common_message_read(self, message: Message, events: list[Event]) -> None:
        if isinstance(message, Bye):
            self._move(Signal.BYE)
            events.append(PeerClosed(message.reason))
        else:
            events.append(MessageReceived(message))

    def _unexpected(self, message: Message) -> ProtocolError:
        name = type(message).__name__
        return ProtocolError(Fault.UNEXPECTED_MESSAGE, f"{name} in state {self.state.value}")
