"""What an error says, which logs and counters rely on."""

from hwangso_protocol.errors import Fault, LocalProtocolError, ProtocolError, UnknownMessageError


def test_a_protocol_error_names_its_fault() -> None:
    error = ProtocolError(Fault.BAD_RECORD, "no tag")
    assert (error.fault, error.detail, str(error)) == (
        Fault.BAD_RECORD,
        "no tag",
        "bad_record: no tag",
    )


def test_an_unknown_message_names_its_tag() -> None:
    error = UnknownMessageError("typing")
    assert error.tag == "typing"
    assert str(error) == "unknown message type 'typing'"


def test_own_faults_are_not_the_peers() -> None:
    assert not issubclass(LocalProtocolError, ProtocolError)
    assert not issubclass(UnknownMessageError, ProtocolError)
