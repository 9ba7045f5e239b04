"""Latencies as HDR histograms, which merge without loss: the one place that knows `hdrh`."""

from typing import Final, Self

from hdrh.histogram import HdrHistogram

HIGHEST_US: Final = 3_600_000_000
"""An hour; longer waits count as an hour."""

SIGNIFICANT_DIGITS: Final = 3
"""Values are right to 0.1 %."""

PERCENTILES: Final = (50.0, 90.0, 99.0, 99.9)


class Latencies:
    """A distribution of times, given in seconds and held in microseconds."""

    __slots__ = ("_histogram",)

    def __init__(self) -> None:
        self._histogram = HdrHistogram(1, HIGHEST_US, SIGNIFICANT_DIGITS)

    def __len__(self) -> int:
        count: int = self._histogram.get_total_count()
        return count

    def record(self, seconds: float) -> None:
        """Count one. The histogram begins at 1 us, so that is what shorter ones count as."""
        self._histogram.record_value(min(max(1, round(seconds * 1e6)), HIGHEST_US))

    def percentile_ms(self, percentile: float) -> float | None:
        """The latency in milliseconds that `percentile` per cent did not exceed; None if empty."""
        if not len(self):
            return None
        value: int = self._histogram.get_value_at_percentile(percentile)
        return value / 1000

    def max_ms(self) -> float | None:
        """The longest, in milliseconds; None if empty."""
        if not len(self):
            return None
        value: int = self._histogram.get_max_value()
        return value / 1000

    def add(self, other: Self) -> None:
        """Count all that `other` holds, too."""
        self._histogram.add(other._histogram)

    def encode(self) -> bytes:
        """For another process: the HdrHistogram V2 compressed form, in base64."""
        encoded: bytes = self._histogram.encode()
        return encoded

    @classmethod
    def decode(cls, encoded: bytes) -> Self:
        """What `encode` gave."""
        latencies = cls()
        latencies._histogram.decode_and_add(encoded)
        return latencies

    def figures(self) -> dict[str, float | int | None]:
        """Count, percentiles and maximum, for a results file."""
        return {
            "count": len(self),
            **{f"p{p:g}_ms".replace(".", "_"): self.percentile_ms(p) for p in PERCENTILES},
            "max_ms": self.max_ms(),
        }
