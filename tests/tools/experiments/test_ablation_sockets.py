"""The ablation on real sockets, with runs that are made up: which are ordered, what is shown."""

from collections.abc import Awaitable, Callable
from io import StringIO
from pathlib import Path
from types import MethodType

import pytest
from rich.console import Console

from hwangso_server.admission.mechanism import Mechanism
from hwangso_tools.bench.runs import Limit, Run
from hwangso_tools.bench.storm.parts import Program
from hwangso_tools.bench.storm.plan import Part
from hwangso_tools.experiments import ablation_sockets
from hwangso_tools.experiments.ablation_sockets import COLUMNS, PARTS, as_figures, measure, table

FIGURES = {"fg_p99_ms": 10.0, "fg_max_ms": 50.0, "bg_t99_s": 3.0, "bg_attempts_per_device": 2.0}


@pytest.fixture
def ordered(monkeypatch: pytest.MonkeyPatch) -> list[Program]:
    """What runs would be made of; the one without lanes is slow, and one does not count."""
    programs: list[Program] = []

    async def repeat(
        run: Callable[..., Awaitable[Run]],
        runs: int,
        _work: Path | None,
        devices: int,
        tell: Callable[[int, Run], None],
    ) -> list[Run]:
        assert (runs, devices) == (2, 7)
        assert isinstance(run, MethodType)
        assert isinstance(run.__self__, Program)
        program = run.__self__
        programs.append(program)
        slowness = 10 if list(program.without) == [Mechanism.LANES] else 1
        figures = {
            f"{part.value}_{name}": value * slowness
            for part in program.parts
            for name, value in FIGURES.items()
        }
        if Part.OFF not in program.parts:
            figures["bg_ideal_s"] = 2.0
        limit = Limit.GENERATOR if list(program.without) == [Mechanism.HYSTERESIS] else None
        tell(1, Run(figures, limit))
        return [Run(figures, limit)]

    monkeypatch.setattr(ablation_sockets, "repeat", repeat)
    return programs


def test_every_mechanism_is_switched_off_alone_and_the_control_last(ordered: list[Program]) -> None:
    said: list[str] = []
    found = measure(7, 2, said.append)
    assert [list(program.without) for program in ordered] == [
        [],
        *([mechanism] for mechanism in Mechanism),
        [],
    ]
    assert all(program.parts == PARTS for program in ordered[:-1])
    assert ordered[-1].parts == (Part.OFF,)
    assert "hysteresis, run 1 does not count: its limit was generator" in said
    assert found["hysteresis"] == {}
    assert found["lanes"][Part.BASE]["fg_p99_ms"] == 100.0
    assert found["lanes"][Part.BASE]["bg_drain_ratio"] == 15.0
    assert found["control off"][Part.OFF]["bg_drain_ratio"] == 1.5  # against the full line's ideal
    assert {*found["all on"][Part.IMPATIENT]} == {*COLUMNS}
    assert as_figures(found)["control off"] == {"off": dict(found["control off"][Part.OFF])}


@pytest.mark.usefixtures("ordered")
def test_the_table_has_a_section_for_each_crowd() -> None:
    shown = StringIO()
    Console(file=shown, width=80).print(table(measure(7, 2, lambda _: None)))
    lines = [" ".join(line.split()) for line in shown.getvalue().splitlines()]
    assert [line for line in lines if line.endswith(":")] == ["base:", "impatient:", "disobedient:"]
    assert lines.count("all on 10 50 3 1.5 2") == 3
    assert lines.count("lanes 100 500 30 15 20") == 3
    assert lines.count("control off 10 50 3 1.5 2") == 1
    assert lines.count("hysteresis - - - - -") == 3
