"""From a configuration to the admission that it asks for."""

import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.server.fakes import static_key

from hwangso_protocol.answer import RefuseReason
from hwangso_protocol.hello import Intent, Kind
from hwangso_server.admission import (
    Admit,
    Arrival,
    CapacityAdmission,
    Decision,
    Deferral,
    Refusal,
    Stage,
)
from hwangso_server.admission.capacity import FULL_RETRY_AFTER_MS
from hwangso_server.admission.controller import AdmissionController
from hwangso_server.admission.mechanism import Mechanism
from hwangso_server.admission.settings import Settings
from hwangso_server.config import Config, Control
from hwangso_server.control import DEFERRAL_KEY_LABEL, make_admission
from hwangso_server.environment import Clock, Environment
from hwangso_server.limits import ENROLLING_MAX, STRANGERS_MAX

EPOCH_MS = 1_800_000_000_000
SESSIONS_MAX = 1_000


@dataclass
class Times:
    """A clock that a test moves. `epoch_ms` is the time of day when `now_s` was 0."""

    now_s: float = 0.0
    epoch_ms: int = EPOCH_MS
    rng: random.Random = field(default_factory=lambda: random.Random(1))

    @property
    def environment(self) -> Environment:
        clock = Clock(
            now_s=lambda: self.now_s, wall_ms=lambda: self.epoch_ms + int(self.now_s * 1000)
        )
        return Environment(clock, self.rng, self.rng.randbytes)


def resume(device_id: int, ticket: bytes = b"") -> Arrival:
    lane = Intent.BACKGROUND
    return Arrival(lane, Intent.BACKGROUND, Kind.RESUME, 1, device_id, ticket)


SLOW = Settings(handshakes_max=10_000, sessions_max=10_000, handshake_cost_s=0.1)
"""A server of ten handshakes a second, so that slots are far away."""


def controller(
    times: Times, key: int = 1, *, settings: Settings | None = None, **changes: Any
) -> AdmissionController:
    admission = make_admission(
        Config(**changes),
        times.environment,
        static_key(key),
        sessions_max=SESSIONS_MAX,
        settings=settings,
    )
    assert isinstance(admission, AdmissionController)
    return admission


def in_emergency(times: Times, key: int = 1) -> AdmissionController:
    admission = controller(times, key, settings=SLOW)
    admission.pin(Stage.EMERGENCY, times.now_s + 600, times.now_s)
    return admission


def deferral_of(admission: AdmissionController, times: Times, device_id: int) -> Deferral:
    """Of a device that comes when many have slots already."""
    for other in range(1_000, 1_300):
        admission.decide(resume(other), times.now_s)
    deferral = admission.decide(resume(device_id), times.now_s)
    assert isinstance(deferral, Deferral)
    return deferral


def is_kept(decision: Decision, deferral: Deferral, later_ms: int) -> bool:
    """Whether somebody who came too early was told the same slot again."""
    return (
        isinstance(decision, Deferral) and abs(decision.wait_ms + later_ms - deferral.wait_ms) <= 1
    )


def test_the_control_is_on_unless_told_otherwise() -> None:
    admission = controller(Times())
    assert admission.stage is Stage.NORMAL


def test_control_off_is_admission_by_capacity_alone() -> None:
    config = Config(control=Control.OFF)
    admission = make_admission(
        config, Times().environment, static_key(1), sessions_max=SESSIONS_MAX
    )
    assert isinstance(admission, CapacityAdmission)
    for number in range(SESSIONS_MAX):
        assert admission.decide(resume(number), 0.0) == Admit(Intent.BACKGROUND)
    assert admission.is_full


@pytest.mark.parametrize("control", Control)
def test_handshakes_are_bounded_by_what_the_server_holds(control: Control) -> None:
    """Strangers and enrolments: more cannot be under way."""
    admission = make_admission(
        Config(control=control), Times().environment, static_key(1), sessions_max=10**6
    )
    people = Arrival(Intent.FOREGROUND, Intent.FOREGROUND, Kind.LOGIN, 1, None, b"")
    admitted = 0
    while isinstance(admission.decide(people, 0.0), Admit):
        admission.handshake_started(Intent.FOREGROUND, 0.0, 0.0)
        admitted += 1
    assert admitted == STRANGERS_MAX + ENROLLING_MAX


def test_slots_are_kept_over_a_restart() -> None:
    """The clock that times waits begins anew; tickets hold the time of day."""
    times = Times(now_s=500.0)
    deferral = deferral_of(in_emergency(times), times, device_id=7)
    assert deferral.wait_ms > 10_000
    restarted = Times(now_s=3.0, epoch_ms=times.epoch_ms + 500_000 + 1_000 - 3_000)
    back = resume(7, deferral.deferral_ticket)
    assert is_kept(in_emergency(restarted).decide(back, 3.0), deferral, later_ms=1_000)


def test_slots_of_another_server_are_worth_nothing() -> None:
    times = Times()
    deferral = deferral_of(in_emergency(times, key=1), times, device_id=7)
    back = resume(7, deferral.deferral_ticket)
    assert not is_kept(in_emergency(times, key=2).decide(back, 0.0), deferral, later_ms=0)
    assert is_kept(in_emergency(times, key=1).decide(back, 0.0), deferral, later_ms=0)


def test_the_ticket_key_is_not_the_servers_own() -> None:
    """Nor is it told by anything else that is made from that: its label is its own."""
    assert DEFERRAL_KEY_LABEL == b"hwangso/1 deferral tickets"


def test_settings_take_the_place_of_the_defaults() -> None:
    """Of the server's size, too."""
    settings = Settings(handshakes_max=3, sessions_max=2)
    admission = controller(Times(), settings=settings)
    people = Arrival(Intent.FOREGROUND, Intent.FOREGROUND, Kind.LOGIN, 1, None, b"")
    decisions = [admission.decide(people, 0.0) for _ in range(3)]
    assert decisions == [Admit(Intent.FOREGROUND)] * 2 + [
        Refusal(RefuseReason.FULL, FULL_RETRY_AFTER_MS)
    ]


def test_mechanisms_are_switched_off_one_by_one() -> None:
    """What each does is tested with the controller; here, that it is told."""
    spoken = deferral_of(in_emergency(Times()), Times(), device_id=7)
    assert spoken.deferral_ticket
    silent = controller(Times(), settings=SLOW, without=(Mechanism.SPOKEN_DEFER,))
    silent.pin(Stage.EMERGENCY, 600, 0.0)
    decisions = [silent.decide(resume(number), 0.0) for number in range(1, 300)]
    assert not any(isinstance(decision, Deferral) for decision in decisions)


def test_the_same_chance_gives_the_same_slots() -> None:
    def slots(seed: int) -> list[Decision]:
        times = Times(rng=random.Random(seed))
        admission = in_emergency(times)
        return [admission.decide(resume(number), 0.0) for number in range(1, 300)]

    assert slots(1) == slots(1) != slots(2)
