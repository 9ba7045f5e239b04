"""Stages and the rules of admission, in words for people."""

from typing import Final

from hwangso_server.admission.explanation import Rule
from hwangso_server.admission.stage import Stage, StageRule

_DOES: Final = {
    Stage.NORMAL: "everybody at once",
    Stage.BUSY: "foreground first, background at the spare rate",
    Stage.EMERGENCY: "foreground first, background only with a due slot",
    Stage.SHIELD: "foreground at capacity, background closed but for due slots",
}

_STAGE_RULES: Final[dict[str, str]] = {
    StageRule.CALM: "nothing has raised it",
    StageRule.BACKGROUND_STANDING: "a standing queue of background connects",
    StageRule.BACKGROUND_FULL: "the background queue was full",
    StageRule.CONNECT_SURGE: "a standing queue, and connects far over the usual",
    StageRule.BACKLOG: "the calendar of slots reached far ahead",
    StageRule.FOREGROUND_STANDING: "foreground waits, and takes most of the processor",
    StageRule.FOREGROUND_FULL: "the foreground queue was full",
    StageRule.RECOVERY: "the stage above is over",
    StageRule.OPERATOR: "an operator's word",
    StageRule.UNPINNED: "an operator's word, which has ended",
}
_RULES: Final[dict[str, str]] = {
    Rule.NORMAL: "background is not put off in this stage",
    Rule.FOREGROUND: "a person waits",
    Rule.SPARE: "foreground left room for one more",
    Rule.DUE: "its slot had come",
    Rule.AGE: "put off often or long enough, although the queue was full",
    Rule.SILENT: "deferrals are switched off on this server",
    Rule.OVER_BUDGET: "there is no room for it before its slot",
    Rule.EARLY: "it came before its slot, which is kept",
    Rule.QUEUE_FULL: "its slot had come, there was no room: another slot",
    Rule.FOREGROUND_FULL: "people alone are more than the server can serve",
    Rule.ONE_ATTEMPT: "it had another attempt waiting",
    Rule.FULL: "as many handshakes or sessions as this server can hold",
}


def named(stage: Stage) -> str:
    """Number and name."""
    return f"{stage.value} {stage.name}"


def what_it_does(stage: Stage) -> str:
    """What the stage means for who connects."""
    return _DOES[stage]


def why_stage(rule: str) -> str:
    """A StageRule; the name alone if it is one of a newer server."""
    return _with_words(rule, _STAGE_RULES)


def why_decision(rule: str) -> str:
    """A Rule; the name alone if it is one of a newer server."""
    return _with_words(rule, _RULES)


def _with_words(name: str, words: dict[str, str]) -> str:
    return f"{name}: {words[name]}" if name in words else name
