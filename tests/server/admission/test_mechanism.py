"""The names that `--without` takes."""

from hwangso_server.admission import Mechanism


def test_names() -> None:
    assert [str(mechanism) for mechanism in Mechanism] == [
        "lanes",
        "spoken-defer",
        "peer-check",
        "foreground-budget",
        "recovery-governor",
        "hysteresis",
        "client-jitter",
    ]
