import pytest

from hwangso_server.admission.explanation import Rule
from hwangso_server.admission.stage import Stage, StageRule
from hwangso_tools.reasons import named, what_it_does, why_decision, why_stage


def test_stages() -> None:
    assert [named(stage) for stage in Stage] == ["0 NORMAL", "1 BUSY", "2 EMERGENCY", "3 SHIELD"]
    assert len({what_it_does(stage) for stage in Stage}) == len(Stage)


@pytest.mark.parametrize("rule", StageRule)
def test_every_rule_of_a_stage_has_words_that_fit_a_line(rule: StageRule) -> None:
    assert why_stage(rule.value).startswith(f"{rule.value}: ")
    assert len(why_stage(rule.value)) <= 70


@pytest.mark.parametrize("rule", Rule)
def test_every_rule_of_a_decision_has_words_that_fit_a_line(rule: Rule) -> None:
    assert why_decision(rule.value).startswith(f"{rule.value}: ")
    assert len(why_decision(rule.value)) <= 66


def test_a_rule_of_a_newer_server() -> None:
    assert why_stage("eclipse") == why_decision("eclipse") == "eclipse"
