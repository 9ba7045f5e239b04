"""What an operator is told about admission, in seconds from now, and what his word does."""

import random

import msgspec
import pytest
import structlog

from hwangso_protocol.hello import Intent, Kind
from hwangso_server.accounts import AdministrationError
from hwangso_server.admin_messages import CONTROL_OFF, AdmissionStatus, Explained, Explanation
from hwangso_server.admission import Arrival, CapacityAdmission
from hwangso_server.admission.controller import AdmissionController
from hwangso_server.admission.decision import Decision, Deferral
from hwangso_server.admission.settings import Settings
from hwangso_server.admission.stage import Stage
from hwangso_server.admission_administration import AdmissionAdministration
from hwangso_server.environment import Clock


class Operator:
    """An operator and a controller, and a clock that stands where it is set."""

    def __init__(self) -> None:
        self.now_s = 1_000_000.0
        chance = random.Random(1)
        self.controller = AdmissionController(
            Settings(handshakes_max=1_000, sessions_max=10_000),
            uniform=chance.uniform,
            random_bytes=chance.randbytes,
            ticket_key=bytes(32),
        )
        clock = Clock(now_s=lambda: self.now_s, wall_ms=lambda: 0)
        self.admin = AdmissionAdministration(self.controller, clock)

    def arrive(self, device: int, intent: Intent) -> Decision:
        arrival = Arrival(intent, intent, Kind.RESUME, 1, device, b"")
        return self.controller.decide(arrival, self.now_s)

    def status(self) -> AdmissionStatus:
        status = self.admin.status()
        assert status is not None
        return status

    def explain(self, device: int) -> Explanation:
        explanation = self.admin.explain(device).explanation
        assert explanation is not None
        return explanation


def test_a_new_server() -> None:
    status = Operator().status()
    assert (status.stage, status.rule) == (Stage.NORMAL, "calm")
    assert status.entered_ago_s is None
    assert status.pinned_left_s is None
    assert status.last_slot_in_s is None
    assert status.slots == 0
    assert set(status.decisions.values()) == {0}


def test_a_stage_is_pinned_for_a_time() -> None:
    operator = Operator()
    with structlog.testing.capture_logs() as lines:
        pinned = operator.admin.set_stage(Stage.SHIELD, 600)
    assert (pinned.stage, pinned.rule) == (Stage.SHIELD, "operator")
    assert (pinned.entered_ago_s, pinned.pinned_left_s) == (0, 600)
    assert lines == [
        {
            "event": "stage pinned by an operator",
            "stage": "SHIELD",
            "for_s": 600,
            "log_level": "info",
        }
    ]
    operator.now_s += 12.5
    assert (operator.status().entered_ago_s, operator.status().pinned_left_s) == (12.5, 587.5)
    operator.now_s += 700  # nobody has told the controller yet
    assert operator.status().pinned_left_s == 0
    operator.controller.tick(operator.now_s)
    assert operator.status().pinned_left_s is None


def test_a_pin_takes_the_place_of_another() -> None:
    operator = Operator()
    operator.admin.set_stage(Stage.SHIELD, 600)
    second = operator.admin.set_stage(Stage.BUSY, 30)
    assert (second.stage, second.pinned_left_s) == (Stage.BUSY, 30)


def test_a_stage_is_freed() -> None:
    operator = Operator()
    operator.admin.set_stage(Stage.SHIELD, 600)
    operator.now_s += 1
    with structlog.testing.capture_logs() as lines:
        freed = operator.admin.free_stage()
    assert [line["event"] for line in lines] == ["stage freed by an operator"]
    assert freed.pinned_left_s is None
    assert operator.controller.status(operator.now_s).pinned_until_s is None
    operator.admin.free_stage()  # also when it is free


def test_a_deferral_is_explained() -> None:
    operator = Operator()
    operator.admin.set_stage(Stage.SHIELD, 600)
    deferral = operator.arrive(7, Intent.BACKGROUND)
    assert isinstance(deferral, Deferral)
    operator.now_s += 0.125
    explanation = operator.explain(7)
    assert msgspec.structs.replace(explanation, slot_in_s=None) == Explanation(
        0.125, "BG", "BG", Stage.SHIELD, "over-budget", "deferred", None, 1
    )
    assert explanation.slot_in_s == pytest.approx(deferral.wait_ms / 1000 - 0.125, abs=0.001)
    operator.now_s += 30
    assert operator.explain(7).slot_in_s == pytest.approx(
        deferral.wait_ms / 1000 - 30.125, abs=0.001
    )


def test_an_admission_and_a_claim_that_is_not_believed_are_explained() -> None:
    operator = Operator()
    operator.arrive(7, Intent.FOREGROUND)
    assert operator.explain(7) == Explanation(
        0, "FG", "FG", Stage.NORMAL, "foreground", "admitted", None, 0
    )
    operator.admin.set_stage(Stage.SHIELD, 600)
    for _ in range(10):
        operator.now_s += 10
        operator.arrive(7, Intent.FOREGROUND)
    explanation = operator.explain(7)
    assert (explanation.intent, explanation.served_as) == ("FG", "BG")


def test_a_device_that_never_came() -> None:
    assert Operator().admin.explain(7) == Explained(None)
    assert Operator().admin.explain(2**80) == Explained(None)


def test_the_calendar_and_the_status_count_the_same_slots() -> None:
    operator = Operator()
    assert operator.admin.calendar().slots == ()
    operator.admin.set_stage(Stage.SHIELD, 600)
    for device in range(5_000):
        operator.arrive(device, Intent.BACKGROUND)
    slots = operator.admin.calendar().slots
    assert sum(count for _, count in slots) == operator.status().slots == 5_000
    assert [in_s for in_s, _ in slots] == sorted({in_s for in_s, _ in slots})
    last_slot_in_s = operator.status().last_slot_in_s
    assert last_slot_in_s is not None
    assert slots[-1][0] <= last_slot_in_s < slots[-1][0] + 2
    assert operator.status().decisions["over-budget"] == 5_000


def test_figures_are_those_of_the_status() -> None:
    operator = Operator()
    operator.admin.set_stage(Stage.SHIELD, 600)
    operator.arrive(7, Intent.BACKGROUND)
    operator.arrive(8, Intent.FOREGROUND)
    assert operator.admin.figures() == {
        "now.stage": 3,
        "now.background_per_s": operator.status().background_per_s,
        "now.foreground_waiting": 1,
        "now.background_waiting": 0,
        "now.slots": 1,
        "slots.overbooked": 0,
        "deferral_tickets.foreign": 0,
        "deferral_tickets.spent": 0,
        "decided.over-budget": 1,
        "decided.foreground": 1,
    }


def test_with_control_off_there_is_nothing_to_ask() -> None:
    admission = CapacityAdmission(handshakes_max=1, sessions_max=1)
    admin = AdmissionAdministration(admission, Clock(now_s=lambda: 0.0, wall_ms=lambda: 0))
    assert admin.status() is None
    assert admin.figures() == {}
    for ask in (
        lambda: admin.set_stage(Stage.BUSY, 600),
        admin.free_stage,
        lambda: admin.explain(7),
        admin.calendar,
    ):
        with pytest.raises(AdministrationError, match=f"^{CONTROL_OFF}$"):
            ask()


def test_every_answer_is_json_that_reads_back_the_same() -> None:
    operator = Operator()
    operator.admin.set_stage(Stage.SHIELD, 600)
    operator.arrive(7, Intent.BACKGROUND)
    for answer in (operator.status(), operator.admin.explain(7), operator.admin.calendar()):
        line = msgspec.json.encode(answer)
        assert msgspec.json.decode(line, type=type(answer)) == answer
