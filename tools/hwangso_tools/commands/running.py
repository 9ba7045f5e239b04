"""`hwangso stats` and `hwangso stop`: what only a running server can do."""

from pathlib import Path

from hwangso_tools.commands.operate import Where, ask_running
from hwangso_tools.results import results_file


def stats(*, where: Where | None = None, json: Path | None = None) -> None:
    """Show what the running server has counted since it started.

    Parameters
    ----------
    json
        Also write the figures to this file.
    """
    with results_file(json) as results:
        figures = ask_running(where, lambda admin: admin.stats()).figures
        width = max(map(len, figures), default=0)
        for name, value in sorted(figures.items()):
            print(f"{name:<{width}}  {value:,}")
        results.write("stats", dict(figures), {})


def stop(*, where: Where | None = None) -> None:
    """Ask the running server to stop gracefully; it has begun to when this returns."""
    ask_running(where, lambda admin: admin.stop())
    print("the server is stopping")
