"""What the limits owe each other."""

from hwangso_protocol.limits import HELLO_MAX_BYTES, PAGE_MAX_BODY_BYTES, RECORD_MAX_BYTES
from hwangso_server import limits
from hwangso_server.deadlines import TICK_S


def test_one_read_holds_the_largest_hello() -> None:
    assert limits.READ_BYTES >= HELLO_MAX_BYTES


def test_a_reader_may_have_several_pages_waiting() -> None:
    assert limits.WRITE_BACKLOG_MAX_BYTES >= 4 * RECORD_MAX_BYTES > 4 * PAGE_MAX_BODY_BYTES


def test_timeouts_are_coarser_than_the_watch() -> None:
    timeouts_s = (
        limits.HELLO_TIMEOUT_S,
        limits.PROOF_TIMEOUT_S,
        limits.ENROL_TIMEOUT_S,
        limits.CLOSE_LINGER_S,
        limits.IDLE_FACTOR,  # with the shortest keepalive, 1 s
    )
    assert min(timeouts_s) >= 4 * TICK_S


def test_a_session_survives_a_lost_ping() -> None:
    assert limits.IDLE_FACTOR > 2
