import io

from rich.console import Console

from hwangso_tools.bench.report import as_figures, shown, table
from hwangso_tools.bench.runs import Limit, Run

RUNS = [Run({"resume_per_s": 3_456.7, "resume_crypto_share": 0.4321}, Limit.SERVER)]


def test_our_figures_beside_the_published_ones() -> None:
    out = io.StringIO()
    Console(file=out, width=80).print(table(RUNS[0].figures))
    assert "resume_per_s" in out.getvalue()
    assert "3,457" in out.getvalue()
    assert "734" in out.getvalue()
    assert "0.432" in out.getvalue()
    assert "login_per_s" not in out.getvalue()


def test_figures_of_a_results_file() -> None:
    figures = as_figures({"resume_per_s": 3_456.7}, RUNS)
    assert figures["resume_per_s"] == 3_456.7
    assert figures["counted_runs"] == 1
    assert figures["runs"] == [
        {"resume_per_s": 3_456.7, "resume_crypto_share": 0.4321, "limited_by": "server"}
    ]


def test_shown() -> None:
    assert [shown(value) for value in (12_345.6, 100.4, 12.345, 0.1234)] == [
        "12,346",
        "100",
        "12.3",
        "0.123",
    ]
