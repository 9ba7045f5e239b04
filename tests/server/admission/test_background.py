"""The background budget: its token bucket."""

from hypothesis import given
from hypothesis import strategies as st

from hwangso_server.admission.background import BackgroundBudget, BudgetSample


class Steered:
    """A controller that says what it is told to, once a window."""

    def __init__(self, rate_per_s: float) -> None:
        self.rate_per_s = self.next_per_s = rate_per_s
        self.samples: list[BudgetSample] = []

    def on_window(self, sample: BudgetSample) -> float:
        self.samples.append(sample)
        self.rate_per_s = self.next_per_s
        return self.rate_per_s


def sample() -> BudgetSample:
    return BudgetSample(
        window_s=0.1,
        background_delay_s=0.0,
        foreground_delay_s=0.0,
        started=0,
        background_s=0.0,
        foreground_s=0.0,
        live_s=0.0,
        door_s=0.0,
        idle_s=0.1,
        queue_length=0,
        target_s=0.02,
    )


def taken(budget: BackgroundBudget, now_s: float, weight: float = 1.0) -> int:
    """How many get through at once."""
    count = 0
    while budget.take(now_s, weight):
        count += 1
    return count


def test_a_full_bucket_and_then_the_rate() -> None:
    budget = BackgroundBudget(Steered(100.0))
    assert taken(budget, 5.0) == 10
    assert taken(budget, 5.0) == 0
    assert taken(budget, 5.055) == 5
    assert taken(budget, 5.059) == 0
    assert taken(budget, 5.061) == 1
    assert taken(budget, 100.0) == 10


def test_the_bucket_can_be_larger() -> None:
    assert taken(BackgroundBudget(Steered(100.0), burst_s=0.5), 0.0) == 50


def test_a_small_rate_lets_through_one_at_a_time() -> None:
    budget = BackgroundBudget(Steered(0.5))
    assert taken(budget, 0.0) == 1
    assert taken(budget, 1.9) == 0
    assert taken(budget, 2.0) == 1
    assert taken(budget, 20.0) == 1


def test_a_login_takes_several_tokens() -> None:
    budget = BackgroundBudget(Steered(100.0))
    assert taken(budget, 0.0, weight=3.0) == 3
    assert taken(budget, 0.0, weight=1.0) == 1


def test_what_weighs_more_than_the_bucket_holds_leaves_a_debt() -> None:
    budget = BackgroundBudget(Steered(1.0))
    assert budget.take(0.0, 4.0)
    assert not budget.take(3.9)
    assert budget.take(4.0)


def test_the_controller_sets_the_rate_once_a_window() -> None:
    controller = Steered(100.0)
    budget = BackgroundBudget(controller)
    assert taken(budget, 0.0) == 10
    controller.next_per_s = 20.0
    assert budget.rate_per_s == 100.0
    budget.observe(sample(), 1.0)
    assert controller.samples == [sample()]
    assert budget.rate_per_s == 20.0
    assert taken(budget, 1.0) == 2  # what was gained at the old rate does not outlive it
    assert taken(budget, 2.0) == 2


def test_until_the_window_ends_the_bucket_fills_at_the_old_rate() -> None:
    controller = Steered(100.0)
    budget = BackgroundBudget(controller)
    assert taken(budget, 0.0) == 10
    controller.next_per_s = 20.0
    budget.observe(sample(), 0.015)
    assert taken(budget, 0.015) == 1


@given(
    st.floats(0.5, 1000.0),
    st.lists(
        st.tuples(st.floats(0.0, 1.0), st.sampled_from([1.0, 1.8, 4.0])), min_size=1, max_size=100
    ),
)
def test_never_more_than_the_rate(rate_per_s: float, asked: list[tuple[float, float]]) -> None:
    budget = BackgroundBudget(Steered(rate_per_s))
    now_s, through = 0.0, 0.0
    for since_s, weight in asked:
        now_s += since_s
        if budget.take(now_s, weight):
            through += weight
        most = max(1.0, rate_per_s * 0.1) + rate_per_s * now_s + (4.0 - 1.0)
        assert through <= most + 1e-6
