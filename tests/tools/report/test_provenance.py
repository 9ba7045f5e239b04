"""What a report says of its making."""

from dataclasses import replace
from datetime import UTC

from tests.tools.report.recordings import PROVENANCE

from hwangso_server.admission.mechanism import Mechanism
from hwangso_tools.machine import machine, versions
from hwangso_tools.report.provenance import provenance


def test_the_command_can_be_pasted() -> None:
    assert PROVENANCE.command_line == "hwangso storm 'my storm.toml' --seed 7"


def test_the_rows_for_people() -> None:
    assert PROVENANCE.rows() == [
        ("made", "2026-11-22 15:30:01 UTC"),
        ("seed", "7"),
        ("played in", "real sockets, 6 times as fast as told"),
        ("control on is without", "lanes"),
        ("processor", "a <fast> one, 2 cores"),
        ("memory", "2.0 GiB"),
        ("system", "Linux 6.1"),
        ("versions", "hwangso 0.1.0, python 3.11.7"),
    ]
    rows = dict(replace(PROVENANCE, real_speed=None, without=()).rows())
    assert rows["played in"] == "virtual time, on a modelled processor and network"
    assert rows["control on is without"] == "nothing: it is whole"


def test_one_made_here_and_now() -> None:
    made = provenance(("hwangso", "storm"), 3, (Mechanism.LANES,), None)
    assert (made.command_line, made.seed, made.real_speed) == ("hwangso storm", 3, None)
    assert made.made_at.tzinfo is UTC
    assert made.machine == machine()
    assert versions().items() < made.versions.items()
    assert made.versions["plotly"]
