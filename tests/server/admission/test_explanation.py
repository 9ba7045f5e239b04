"""Every rule says what it comes to."""

from hwangso_protocol.hello import Intent
from hwangso_server.admission import Explanation, Outcome, Rule, Stage


def test_what_each_rule_comes_to() -> None:
    assert {rule.value: rule.outcome.value for rule in Rule} == {
        "normal": "admitted",
        "foreground": "admitted",
        "spare": "admitted",
        "due": "admitted",
        "age": "admitted",
        "silent": "admitted",
        "over-budget": "deferred",
        "early": "deferred",
        "queue-full": "deferred",
        "foreground-full": "deferred",
        "one-attempt": "deferred",
        "full": "refused",
    }


def test_an_explanation_has_the_outcome_of_its_rule() -> None:
    explanation = Explanation(
        device_id=7,
        at_s=1.0,
        claimed=Intent.FOREGROUND,
        served_as=Intent.BACKGROUND,
        stage=Stage.BUSY,
        rule=Rule.EARLY,
        until_s=9.0,
        deferrals=1,
    )
    assert explanation.outcome is Outcome.DEFERRED
