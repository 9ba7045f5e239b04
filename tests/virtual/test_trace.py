"""The trace of a network: a digest of everything, lines for people."""

from hwangso_tools.virtual.trace import Direction, Fate, Packet, Trace


def test_a_digest_of_every_part_of_every_event() -> None:
    first = (1.5, 7, Direction.TO_SERVER, Packet.DATA, Fate.ARRIVED, b"hello")
    variants = [
        [],
        [first],
        [first, first],
        [(1.6, *first[1:])],
        [(1.5, 8, *first[2:])],
        [(1.5, 7, Direction.TO_PHONE, *first[3:])],
        [(1.5, 7, Direction.TO_SERVER, Packet.FIN, *first[4:])],
        [(1.5, 7, Direction.TO_SERVER, Packet.DATA, Fate.LOST, b"hello")],
        [(1.5, 7, Direction.TO_SERVER, Packet.DATA, Fate.ARRIVED, b"hallo")],
    ]
    digests = []
    for events in variants:
        trace = Trace()
        for event in events:
            trace.record(*event)
        assert trace.events == len(events)
        digests.append(trace.digest())
    assert len(set(digests)) == len(variants)
    again = Trace()
    again.record(*first)
    assert again.digest() == digests[1]


def test_the_newest_lines_are_kept_for_people() -> None:
    trace = Trace(lines_kept=3)
    trace.record(0.5, 1, Direction.TO_SERVER, Packet.SYN, Fate.ARRIVED, b"")
    trace.record(1.0, 2, Direction.TO_SERVER, Packet.SYN, Fate.LOST, b"")
    trace.record(2.0, 3, Direction.TO_PHONE, Packet.DATA, Fate.ARRIVED, b"\x00\xff")
    trace.record(3.25, 3, Direction.TO_PHONE, Packet.DATA, Fate.GIVEN_UP, bytes(40))
    assert list(trace.lines()) == [
        "1.000000 #2 -> SYN LOST",
        "2.000000 #3 <- DATA 2 B 00ff",
        f"3.250000 #3 <- DATA GIVEN_UP 40 B {'00' * 24}...",
    ]
    assert list(Trace().lines()) == []
