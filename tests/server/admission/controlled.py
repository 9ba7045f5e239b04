"""A controller with a clock of its own, and hellos for it."""

import random
from typing import Any

from msgspec.structs import replace
from tests.server.admission.samples import SETTINGS

from hwangso_protocol.hello import Intent, Kind
from hwangso_server.admission import (
    AdmissionController,
    Admit,
    Arrival,
    Decision,
    Deferral,
    Explanation,
    Mechanism,
    Settings,
    Stage,
)

FG, BG = Intent.FOREGROUND, Intent.BACKGROUND
HOLD = 1_000
"""Background callers that the queue holds: 0.3 s of 0.3 ms."""
HOLD_FG = 3_334
"""Foreground callers: 1 s."""
SHIELD_HOLD_FG = 334


class Controlled:
    """A controller, and hellos for it."""

    def __init__(
        self, *without: Mechanism, settings: Settings = SETTINGS, wall_offset_s: float = 1.7e9
    ) -> None:
        self.rng = random.Random(1)
        self.controller = AdmissionController(
            settings,
            uniform=self.rng.uniform,
            random_bytes=self.rng.randbytes,
            ticket_key=bytes(32),
            wall_offset_s=wall_offset_s,
            without=frozenset(without),
        )
        self.controller.tick(100.0)
        self.now_s = 100.0

    def hello(
        self,
        intent: Intent = BG,
        device_id: int | None = 1,
        *,
        kind: Kind = Kind.RESUME,
        attempt: int = 1,
        ticket: bytes = b"",
        lane: Intent | None = None,
    ) -> Decision:
        arrival = Arrival(lane, intent, kind, attempt, device_id, ticket)
        return self.controller.decide(arrival, self.now_s)

    def deferred(self, intent: Intent = BG, device_id: int | None = 1, **hello: Any) -> Deferral:
        decision = self.hello(intent, device_id, **hello)
        assert isinstance(decision, Deferral)
        return decision

    def pin(self, stage: Stage) -> None:
        self.controller.pin(stage, 1e9, self.now_s)

    def fill(self, intent: Intent, count: int) -> None:
        """So many others wait."""
        for number in range(count):
            assert isinstance(self.hello(intent, 1_000_000 + number), Admit)

    def serve(self, intent: Intent, count: int) -> None:
        for _ in range(count):
            self.controller.handshake_started(intent, 0.0, self.now_s)
            self.controller.session_started()

    def explain(self, device_id: int = 1) -> Explanation:
        explanation = self.controller.explain(device_id, self.now_s)
        assert explanation is not None
        return explanation


SLOW = replace(SETTINGS, handshake_cost_s=0.03)
SLOW_HOLD = 10


def busy(
    stage: Stage = Stage.EMERGENCY, *without: Mechanism, settings: Settings = SETTINGS
) -> Controlled:
    """In that stage for long, with a background queue that is full."""
    controlled = Controlled(*without, settings=settings)
    controlled.fill(BG, HOLD if settings is SETTINGS else SLOW_HOLD)
    controlled.pin(stage)
    return controlled


def come_back(controlled: Controlled, deferral: Deferral, late_s: float = 0.0) -> None:
    """When the slot has come."""
    controlled.now_s += deferral.wait_ms / 1000 + late_s
