import io

from rich.console import Console

from hwangso_tools.demo.report import login_latency, logins, phase_table
from hwangso_tools.demo.script import DemoOutcome, Phase, Return
from hwangso_tools.swarm.figures import Figures
from hwangso_tools.swarm.ledger import Audit
from hwangso_tools.swarm.outcome import Outcome
from hwangso_tools.swarm.saturation import Load

WELL = Audit(acknowledged=9, lost=0, expected=18, missing=0, duplicated=0, strays=0)


def phase(name: str, *login_names: str) -> Phase:
    figures = Figures()
    for login in login_names:
        figures.counts[f"login.{login}"] += 1
        figures.record(f"login.{login}", 0.25)
    return Phase(name, 1.5, figures)


def outcome(
    *phases: Phase,
    audit: Audit = WELL,
    returned: Return | None = None,
    enrolled: int = 4,
) -> DemoOutcome:
    whole = Outcome(4, enrolled, audit, Figures(), Load(), connected=enrolled, unanswered=0)
    return DemoOutcome(whole, list(phases), returned or Return(4, 4, 0), settled=True)


def test_logins_by_kind_and_intent() -> None:
    back = phase("return", "resume.BG", "resume.BG", "login.BG")
    assert logins(back) == "1 login BG, 2 resume BG"
    assert login_latency(back)[0] == "250"
    assert login_latency(phase("chat")) == ("-", "-")


def test_a_row_for_each_phase_and_one_for_all() -> None:
    out = io.StringIO()
    Console(file=out, width=100).print(
        phase_table(outcome(phase("enrol", "enrol.FG"), phase("chat")))
    )
    for shown in ("enrol", "1 enrol FG", "chat", "all", "3.0", "twice", "lost"):
        assert shown in out.getvalue()


def test_a_thousand_phones_fit_into_80_columns() -> None:
    busy = phase("return", "resume.BG")
    busy.figures.counts["login.resume.BG"] = 1_000
    for name in ("sent", "acknowledged", "received", "caught_up"):
        busy.figures.counts[name] = 12_345
    out = io.StringIO()
    Console(file=out, width=80).print(phase_table(outcome(busy)))
    assert "phase" in out.getvalue()
    assert "return" in out.getvalue()
    assert "1,000 resume BG" in out.getvalue()
    assert out.getvalue().count("12,345") == 4
    assert "…" not in out.getvalue()


def test_complaints() -> None:
    assert outcome().complaints() == []
    assert outcome(enrolled=3).complaints() == ["1 devices could not enrol"]
    assert outcome(returned=Return(4, 2, 1)).complaints() == [
        "1 devices did not come back",
        "1 devices came back otherwise than by a background resume",
    ]
    silent = Audit(acknowledged=0, lost=0, expected=0, missing=0, duplicated=0, strays=0)
    assert outcome(audit=silent).complaints() == ["no message was acknowledged"]
