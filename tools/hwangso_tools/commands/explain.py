"""`hwangso explain`: why a device was admitted or put off."""

from typing import Annotated, Final

from cyclopts import Parameter
from cyclopts.validators import Number

from hwangso_server.admin_messages import Explanation
from hwangso_tools.commands.operate import Where, ask_running
from hwangso_tools.durations import in_words
from hwangso_tools.errors import CommandError
from hwangso_tools.reasons import named, why_decision

_INTENTS: Final = {"FG": "foreground", "BG": "background"}


def explain(
    device: Annotated[int, Parameter(validator=Number(gte=1))], /, *, where: Where | None = None
) -> None:
    """Say why a device was last admitted, deferred or refused: by which rule, until when.

    Parameters
    ----------
    device
        Its number, as `hwangso device list` shows it.
    """
    explanation = ask_running(where, lambda admin: admin.explain(device)).explanation
    if explanation is None:
        raise CommandError(
            f"nothing is known of device {device}: it has not connected since the server started, "
            "or so many others have since"
        )
    print("\n".join(_lines(device, explanation)))


def _lines(device: int, explanation: Explanation) -> list[str]:
    asked, served = (_INTENTS.get(tag, tag) for tag in (explanation.intent, explanation.served_as))
    rows = {
        "asked": asked if asked == served else f"{asked}, served as {served}",
        "stage": f"{named(explanation.stage)} at that time",
        "rule": why_decision(explanation.rule),
    }
    if explanation.slot_in_s is not None:
        rows["until"] = _slot(explanation.slot_in_s)
    rows["deferrals"] = f"{explanation.deferrals:,} in a row" if explanation.deferrals else "none"
    said = f"device {device} was {explanation.outcome} {in_words(explanation.ago_s)} ago"
    return [said, *(f"  {name:<11}{value}" for name, value in rows.items())]


def _slot(in_s: float) -> str:
    if in_s < 0:
        return f"its slot, {in_words(-in_s)} ago"
    return f"its slot, in {in_words(in_s)}"
