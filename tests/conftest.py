"""What every test shares: one hypothesis profile, the same examples on every run."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "hwangso",
    derandomize=True,
    database=None,
    # A busy machine must not fail a test: no wall-clock judgement of examples or their making.
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("hwangso")
