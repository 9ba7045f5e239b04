"""`hwangso stage`: how far a running server puts connects off, and an operator's word on it."""

from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from hwangso_server.admin_messages import CONTROL_OFF, AdmissionStatus
from hwangso_server.admission.signals import QueueSignals
from hwangso_server.admission.stage import Reading, Stage
from hwangso_server.limits import STAGE_PIN_MAX_S, STAGE_PIN_MIN_S
from hwangso_tools.commands.operate import Where, ask_running
from hwangso_tools.durations import in_words, parse_duration
from hwangso_tools.errors import CommandError
from hwangso_tools.reasons import named, what_it_does, why_stage
from hwangso_tools.results import results_file

app = App(name="stage", help="The stage of a running server: show, set, auto.")


@app.command
def show(*, where: Where | None = None, json: Path | None = None) -> None:
    """Show the stage, the rule that put it there, and the pressure it follows from.

    Parameters
    ----------
    json
        Also write all of it to this file.
    """
    with results_file(json) as results:
        status = ask_running(where, lambda admin: admin.status()).admission
        if status is None:
            raise CommandError(CONTROL_OFF)
        print("\n".join(status_lines(status)))
        results.write("stage show", msgspec.structs.asdict(status), {})


@app.command(name="set")
def set_stage(
    stage: str,
    /,
    *,
    lasting: Annotated[str, Parameter(name="--for")],
    where: Where | None = None,
) -> None:
    """Pin the stage for a time; then it follows from pressure again.

    Parameters
    ----------
    stage
        0 to 3, or normal, busy, emergency, shield.
    lasting
        How long: 30s, 10m, 2h; from 1s to 24h.
    """
    wanted, for_s = _stage(stage), pin_of(lasting)
    status = ask_running(where, lambda admin: admin.set_stage(wanted, for_s))
    print(f"stage {named(status.stage)}, pinned {_pinned(status)}")


@app.command
def auto(*, where: Where | None = None) -> None:
    """Undo `set`: the stage follows from pressure again."""
    status = ask_running(where, lambda admin: admin.free_stage())
    print(f"stage {named(status.stage)}, it follows from pressure")


def pin_of(text: str) -> float:
    """Seconds to pin a stage for, of what stands after `--for`. Raises CommandError."""
    try:
        for_s = parse_duration(text)
    except ValueError as error:
        raise CommandError(f"--for {text!r:.60}: {error}") from None
    if not STAGE_PIN_MIN_S <= for_s <= STAGE_PIN_MAX_S:
        raise CommandError(
            f"--for {text}: from {in_words(STAGE_PIN_MIN_S)} to {in_words(STAGE_PIN_MAX_S)}; "
            "a pin that is forgotten must end by itself"
        )
    return for_s


def status_lines(status: AdmissionStatus) -> list[str]:
    """For people, on a terminal of 80 columns or in a pipe."""
    rows = {
        "stage": f"{named(status.stage)} {_lasting(status.entered_ago_s)}",
        "": what_it_does(status.stage),
        "because": why_stage(status.rule),
        "pinned": _pinned(status),
        "budget": f"{_number(status.background_per_s)} background connects a second",
        "calendar": _calendar(status),
    }
    return [
        *(f"{name:<10}{value}" for name, value in rows.items()),
        "",
        f"{'connects':<24}{'arriving':>12}{'waiting':>12}{'answered in':>14}",
        _queue_line("foreground", status.signals.foreground, status.foreground_waiting),
        _queue_line("background", status.signals.background, status.background_waiting),
        "",
        f"{'pressure':<24}{'now':>12}{'limit':>12}",
        *map(_reading_line, status.readings),
    ]


def _stage(text: str) -> Stage:
    for stage in Stage:
        if text.upper() == stage.name or text == str(stage.value):
            return stage
    known = ", ".join(map(named, Stage))
    raise CommandError(f"there is no stage {text!r:.60}: give one of {known}")


def _pinned(status: AdmissionStatus) -> str:
    if status.pinned_left_s is None:
        return "no: it follows from pressure"
    return f"for {in_words(status.pinned_left_s)} (`hwangso stage auto` ends it)"


def _lasting(entered_ago_s: float | None) -> str:
    return "since the start" if entered_ago_s is None else f"for {in_words(entered_ago_s)}"


def _calendar(status: AdmissionStatus) -> str:
    if status.last_slot_in_s is None:
        return "no slots"
    return f"{status.slots:,} slots, the last in {in_words(status.last_slot_in_s)}"


def _queue_line(name: str, signals: QueueSignals, waiting: int) -> str:
    arriving = _number(signals.arrivals_per_s) + "/s"
    answered = in_words(signals.response_s) if signals.response_s else "-"
    return f"{name:<24}{arriving:>12}{waiting:>12,}{answered:>14}"


def _reading_line(reading: Reading) -> str:
    name, value, limit = reading.name, _number(reading.value), _number(reading.limit)
    if name.endswith("_s"):
        name = name.removesuffix("_s")
        value, limit = in_words(reading.value), in_words(reading.limit)
    over = "  over" if reading.value >= reading.limit else ""
    return f"{name.replace('_', ' '):<24}{value:>12}{limit:>12}{over}"


def _number(value: float) -> str:
    """With decimals where they say something."""
    return f"{value:,.2f}".rstrip("0").rstrip(".") if value < 10 else f"{value:,.0f}"
