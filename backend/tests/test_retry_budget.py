"""How many second tries there are."""

from adapters.llm_service.retry_budget import RetryBudget


def test_the_first_mishaps_are_retried_and_then_one_in_ten() -> None:
    budget = RetryBudget(ratio=0.1, reserve=10)
    retries = 0
    for _ in range(200):
        budget.deposit()
        retries += budget.withdraw()
    assert 10 <= retries <= 30


def test_quiet_times_save_up_no_more_than_the_reserve() -> None:
    budget = RetryBudget(ratio=0.1, reserve=3)
    for _ in range(10_000):
        budget.deposit()
    assert [budget.withdraw() for _ in range(5)] == [True, True, True, False, False]


def test_a_ratio_of_zero_and_no_reserve_retry_nothing() -> None:
    budget = RetryBudget(ratio=0, reserve=0)
    budget.deposit()
    assert not budget.withdraw()
