"""Records: lengths, tags, order, rekey."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwangso_protocol.errors import Fault, ProtocolError
from hwangso_protocol.limits import MESSAGE_MAX_BYTES, RECORD_MAX_BYTES, REKEY_AFTER_RECORDS
from hwangso_protocol.noise import CipherState, NoiseError
from hwangso_protocol.records import LENGTH_BYTES, RecordLayer, split_record

ONE, TWO = bytes([1]) * 32, bytes([2]) * 32


def pair(rekey_after: int = REKEY_AFTER_RECORDS) -> tuple[RecordLayer, RecordLayer]:
    return (
        RecordLayer(CipherState(ONE), CipherState(TWO), rekey_after),
        RecordLayer(CipherState(TWO), CipherState(ONE), rekey_after),
    )


def test_the_bytes_of_a_record() -> None:
    record = pair()[0].seal(b"hello")
    assert record == (5 + 16).to_bytes(2, "big") + CipherState(ONE).encrypt_with_ad(None, b"hello")


def test_the_largest_message_fits() -> None:
    ours, theirs = pair()
    message = bytes(MESSAGE_MAX_BYTES)
    record = ours.seal(message)
    assert len(record) == LENGTH_BYTES + RECORD_MAX_BYTES
    assert theirs.open(record[LENGTH_BYTES:]) == message


@given(
    messages=st.lists(st.tuples(st.booleans(), st.binary(max_size=50)), max_size=30),
    rekey_after=st.integers(1, 4),
    cool_after=st.sets(st.integers(0, 29)),
)
def test_both_directions_rekey_on_their_own(
    messages: list[tuple[bool, bytes]], rekey_after: int, cool_after: set[int]
) -> None:
    ours, theirs = pair(rekey_after)
    for index, (from_us, message) in enumerate(messages):
        sender, receiver = (ours, theirs) if from_us else (theirs, ours)
        assert receiver.open(sender.seal(message)[LENGTH_BYTES:]) == message
        if index in cool_after:
            sender.cool()


def test_rekey_is_where_the_readme_says() -> None:
    """After every second record here: the key changes, the nonce goes on counting."""
    sender = pair(rekey_after=2)[0]
    sealed = [sender.seal(b"x")[LENGTH_BYTES:] for _ in range(5)]
    by_hand = CipherState(ONE)
    expected = []
    for number in range(5):
        if number in {2, 4}:
            by_hand.rekey()
        assert by_hand.nonce == number
        expected.append(by_hand.encrypt_with_ad(None, b"x"))
    assert sealed == expected


def test_a_receiver_that_forgets_to_rekey_cannot_go_on() -> None:
    sender, receiver = pair(rekey_after=2)[0], CipherState(ONE)
    first, second, third = (sender.seal(b"x")[LENGTH_BYTES:] for _ in range(3))
    assert receiver.decrypt_with_ad(None, first) == b"x"
    assert receiver.decrypt_with_ad(None, second) == b"x"
    with pytest.raises(NoiseError):
        receiver.decrypt_with_ad(None, third)


def assert_bad_record(layer: RecordLayer, ciphertext: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        layer.open(ciphertext)
    assert caught.value.fault is Fault.BAD_RECORD


def test_altered_repeated_reordered_and_reflected_records_are_faults() -> None:
    ours, theirs = pair()
    first, second = ours.seal(b"first")[LENGTH_BYTES:], ours.seal(b"second")[LENGTH_BYTES:]
    for at in range(len(first)):
        altered = bytearray(first)
        altered[at] ^= 1
        assert_bad_record(theirs, bytes(altered))
    assert_bad_record(theirs, second)
    assert_bad_record(ours, first)
    assert theirs.open(first) == b"first"
    assert_bad_record(theirs, first)
    assert theirs.open(second) == b"second"


def test_records_are_cut_from_the_stream() -> None:
    records = (16).to_bytes(2, "big") + bytes(16) + (17).to_bytes(2, "big") + bytes(17)
    assert split_record(records, 0) == (bytes(16), 18)
    assert split_record(records, 18) == (bytes(17), 37)
    assert split_record(records, 37) is None
    for length in range(18):
        assert split_record(records[:length], 0) is None


@pytest.mark.parametrize("size", [0, 1, 15])
def test_a_length_that_cannot_hold_the_tag_is_noticed_at_once(size: int) -> None:
    with pytest.raises(ProtocolError, match=f"a record of {size} bytes") as caught:
        split_record(size.to_bytes(2, "big"), 0)
    assert caught.value.fault is Fault.BAD_RECORD
