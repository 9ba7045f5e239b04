"""Deferral tickets that have been used: each lets its device in once.

The nonce of a ticket is the number of the server's run and a sequence number within it. So what was
used is one bit a ticket, in a window behind the highest number seen, as in IPsec's protection
against replay (RFC 4303, section 3.4.3; as a ring, RFC 6479). What has dropped out of the window
counts as used. Exact, and 1 MiB a run however many tickets there were.
"""

WINDOW_TICKETS = 2**23
"""Enough for a calendar of 10 minutes and 15 minutes of lateness at 5,000 tickets a second."""

RUNS_MAX = 2
"""This run of the server, and the one before it, whose tickets its devices bring back."""

SEQUENCE_BITS = 32


class Spent:
    """The set of used nonces."""

    def __init__(self, *, window_tickets: int = WINDOW_TICKETS) -> None:
        self._window_tickets = window_tickets
        self._runs: dict[int, _Window] = {}

    def __contains__(self, nonce: int) -> bool:
        run, sequence = divmod(nonce, 1 << SEQUENCE_BITS)
        window = self._runs.get(run)
        return window is not None and sequence in window

    def discard(self, nonce: int) -> None:
        """It has not been used after all; what has dropped out of the window stays used."""
        run, sequence = divmod(nonce, 1 << SEQUENCE_BITS)
        window = self._runs.get(run)
        if window is not None:
            window.discard(sequence)

    def add(self, nonce: int) -> None:
        """It has been used."""
        run, sequence = divmod(nonce, 1 << SEQUENCE_BITS)
        window = self._runs.pop(run, None)
        if window is None:
            window = _Window(self._window_tickets)
            if len(self._runs) == RUNS_MAX:
                del self._runs[next(iter(self._runs))]
        self._runs[run] = window  # the order is that of the last use
        window.add(sequence)


class _Window:
    """One bit for each of the last `size` sequence numbers."""

    def __init__(self, size: int) -> None:
        self._bits = bytearray(size // 8)
        self._highest = -1

    def __contains__(self, sequence: int) -> bool:
        if sequence > self._highest:
            return False
        if sequence <= self._highest - self._size:
            return True
        return bool(self._bits[sequence // 8 % len(self._bits)] & 1 << sequence % 8)

    def add(self, sequence: int) -> None:
        if sequence > self._highest:
            self._move_to(sequence)
        if sequence > self._highest - self._size:
            self._bits[sequence // 8 % len(self._bits)] |= 1 << sequence % 8

    def discard(self, sequence: int) -> None:
        if self._highest - self._size < sequence <= self._highest:
            self._bits[sequence // 8 % len(self._bits)] &= ~(1 << sequence % 8)

    @property
    def _size(self) -> int:
        # Whole bytes are cleared ahead of the highest number, so the last one is not all there.
        return (len(self._bits) - 1) * 8

    def _move_to(self, sequence: int) -> None:
        first, last = self._highest // 8 + 1, sequence // 8
        count = len(self._bits)
        if last - first >= count:
            self._bits = bytearray(count)
        else:
            for place in range(first, last + 1):
                self._bits[place % count] = 0
        self._highest = sequence
