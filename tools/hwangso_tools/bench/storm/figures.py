"""What one run of the storm bench says, in figures; and whether it says anything. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from hwangso_tools.bench.meter import Usage
from hwangso_tools.bench.runs import BUSY_SHARE, Limit, limit_of
from hwangso_tools.bench.storm.plan import Outcome, Part, quantile

LATENESS_MAX_S: Final = 0.001
"""A generator that opens one app in a hundred later than this measures itself."""

_HEADLINES: Final[Mapping[str, str]] = {
    "fg_p50_storm_ms": "base_fg_p50_ms",
    "fg_p99_storm_ms": "base_fg_p99_ms",
    "fg_max_storm_ms": "base_fg_max_ms",
    "fg_failures": "base_fg_failures",
    "bg_t50_s": "base_bg_t50_s",
    "bg_t99_s": "base_bg_t99_s",
    "attempts_per_device": "base_bg_attempts_per_device",
    "server_cpu_share": "base_server_cpu_share",
    "generator_cpu_share": "base_generator_cpu_share",
}
"""The storm that this is all about goes by shorter names, too."""

_RATIOS: Final[Mapping[str, tuple[str, str]]] = {
    "fg_p99_ratio": ("fg_p99_storm_ms", "fg_p99_calm_ms"),
    "fg_p99_ratio_control_off": ("off_fg_p99_ms", "fg_p99_calm_off_ms"),
    "fg_p99_off_over_on": ("off_fg_p99_ms", "base_fg_p99_ms"),
    "bg_drain_ratio": ("bg_t99_s", "bg_ideal_s"),
    "impatient_drain_ratio": ("impatient_bg_t100_s", "bg_ideal_s"),
    "defer_cost_ratio": ("defer_server_cpu_us", "resume_server_cpu_us"),
    "disobedient_fg_p99_ratio": ("disobedient_fg_p99_ms", "fg_p99_calm_ms"),
}
"""Each is one figure over another one of the same run."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Of one core each, from the cut until 99 % of the crowd were back."""

    server: float
    background: float
    foreground: float
    """The three processes."""
    server_core: float
    generator_core: float
    """How busy the two cores were, with these processes or others."""


@dataclass(frozen=True, slots=True)
class Storm:
    """What became of one storm. `cut_s` is how long it took to close the crowd's sockets."""

    background: Outcome
    foreground: Outcome
    cut_s: float
    shares: Shares

    @property
    def limit(self) -> Limit | None:
        """What it was limited by; None if by no processor: by slots, or by back-off."""
        shares = self.shares
        if not is_punctual(self.foreground):
            return Limit.GENERATOR
        if shares.server >= BUSY_SHARE:
            return Limit.SERVER
        if shares.generator_core >= BUSY_SHARE:
            return Limit.GENERATOR
        others = shares.server_core - shares.server
        return Limit.DISTURBED if others >= 1 - BUSY_SHARE else None


@dataclass(slots=True)
class Measured:
    """All of one run, as far as it was asked for."""

    devices: int
    resume: Usage | None = None
    """All devices resumed, one server, saturated."""
    calm: Outcome | None = None
    """People opened the app, control on, the crowd idle."""
    calm_off: Outcome | None = None
    """The same, control off."""
    storms: dict[Part, Storm] = field(default_factory=dict)
    defer: Usage | None = None
    """All of `deferrals` hellos had their DEFER."""
    deferrals: int = 0
    realtime: bool = False
    """Whether the foreground generator ran with real-time priority."""

    @property
    def limit(self) -> Limit | None:
        """What the run was limited by: the generator if it was the limit anywhere."""
        limits = [storm.limit for storm in self.storms.values()]
        if self.resume is not None:
            limits.append(limit_of(self.resume, Limit.DISTURBED))
        for calm in (self.calm, self.calm_off):
            if calm is not None and not is_punctual(calm):
                limits.append(Limit.GENERATOR)
        for limit in (Limit.GENERATOR, Limit.DISTURBED, Limit.SERVER):
            if limit in limits:
                return limit
        return None

    def figures(self) -> dict[str, float]:
        """By name; the README says what each is."""
        found: dict[str, float] = {"fg_generator_realtime": float(self.realtime)}
        if self.resume is not None:
            found |= _saturated("resume", self.resume, self.devices)
            found["bg_ideal_s"] = self.resume.elapsed_s
        if self.defer is not None:
            found |= _saturated("defer", self.defer, self.deferrals)
        if self.calm is not None:
            found |= _calm(self.calm, "calm")
        if self.calm_off is not None:
            found |= _calm(self.calm_off, "calm_off")
        for part, storm in self.storms.items():
            found |= _storm(part.value, storm)
        found |= {name: found[long] for name, long in _HEADLINES.items() if long in found}
        for name, (over, under) in _RATIOS.items():
            if over in found and under in found:
                found[name] = found[over] / found[under]
        return found


def is_punctual(opens: Outcome) -> bool:
    """Whether the generator opened the apps when they were to be opened."""
    return quantile(opens.start_lateness_s, 0.99) <= LATENESS_MAX_S


def _saturated(name: str, usage: Usage, operations: int) -> dict[str, float]:
    return {
        f"{name}_per_s": operations / usage.elapsed_s,
        f"{name}_server_cpu_us": usage.server_cpu_s / operations * 1e6,
        f"{name}_server_cpu_share": usage.server_share,
        f"{name}_generator_cpu_share": usage.generator_share,
    }


def _calm(opens: Outcome, name: str) -> dict[str, float]:
    return {
        f"fg_p50_{name}_ms": opens.quantile_s(0.50) * 1e3,
        f"fg_p99_{name}_ms": opens.quantile_s(0.99) * 1e3,
        f"fg_max_{name}_ms": opens.quantile_s(1.0) * 1e3,
        f"fg_opens_{name}": opens.devices,
        f"fg_failures_{name}": len(opens.never_s),
        f"fg_lateness_p99_{name}_ms": quantile(opens.start_lateness_s, 0.99) * 1e3,
    }


def _storm(part: str, storm: Storm) -> dict[str, float]:
    crowd, opens = storm.background, storm.foreground
    tally, shares = crowd.tally, storm.shares
    named = {
        "fg_p50_ms": opens.quantile_s(0.50) * 1e3,
        "fg_p99_ms": opens.quantile_s(0.99) * 1e3,
        "fg_max_ms": opens.quantile_s(1.0) * 1e3,
        "fg_opens": opens.devices,
        "fg_failures": len(opens.never_s),
        "fg_attempts": opens.tally.attempts,
        "fg_deferrals": opens.tally.deferrals,
        "fg_timeouts": opens.tally.timeouts,
        "fg_lateness_p99_ms": quantile(opens.start_lateness_s, 0.99) * 1e3,
        "bg_back": len(crowd.ready_s),
        "bg_t50_s": crowd.quantile_s(0.50),
        "bg_t99_s": crowd.quantile_s(0.99),
        "bg_t100_s": crowd.quantile_s(1.0),
        "bg_attempts_per_device": tally.attempts / crowd.devices,
        "bg_attempts": tally.attempts,
        "bg_deferrals": tally.deferrals,
        "bg_disobeyed": tally.disobeyed,
        "bg_unproven_deferrals": tally.unproven_deferrals,
        "bg_refusals": tally.refusals,
        "bg_timeouts": tally.timeouts,
        "bg_broken": tally.broken,
        "bg_lost": tally.lost,
        "bg_cut_s": storm.cut_s,
        "bg_all_started_s": max(crowd.start_lateness_s, default=0.0),
        "bg_retry_lateness_p99_ms": quantile(crowd.retry_lateness_s, 0.99) * 1e3,
        "server_cpu_share": shares.server,
        "server_core_share": shares.server_core,
        "bg_generator_cpu_share": shares.background,
        "fg_generator_cpu_share": shares.foreground,
        "generator_cpu_share": shares.background + shares.foreground,
        "generator_core_share": shares.generator_core,
    }
    return {f"{part}_{name}": value for name, value in named.items()}
