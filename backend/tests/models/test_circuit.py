"""When calls are let through, turned away, or made the trial."""

import pytest

from adapters.llm_service.circuit import Circuit, Outcome


class Clock:
    """A clock that the test winds."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def circuit(clock: Clock) -> Circuit:
    return Circuit(threshold=3, reset_s=2.0, clock=clock)


def fail(circuit: Circuit, times: int) -> None:
    for _ in range(times):
        circuit.admit().settle(Outcome.FAILURE)


def test_a_success_between_failures_starts_the_count_again(circuit: Circuit) -> None:
    fail(circuit, 2)
    circuit.admit().settle(Outcome.SUCCESS)
    fail(circuit, 2)
    assert circuit.state == "closed"


def test_a_failed_trial_opens_it_for_another_reset_time(circuit: Circuit, clock: Clock) -> None:
    fail(circuit, 3)
    clock.now += 2.0
    circuit.admit().settle(Outcome.FAILURE)
    assert not circuit.would_admit
    clock.now += 1.9
    assert not circuit.would_admit
    clock.now += 0.1
    assert circuit.admit().is_trial


def test_a_trial_that_goes_well_closes_it_before_its_end(circuit: Circuit, clock: Clock) -> None:
    fail(circuit, 3)
    clock.now += 2.0
    trial = circuit.admit()
    trial.settle_trial()
    assert circuit.state == "closed"
    trial.settle(Outcome.FAILURE)
    assert circuit.failures == 0


def test_calls_from_before_it_opened_count_no_more(circuit: Circuit, clock: Clock) -> None:
    late = [circuit.admit() for _ in range(8)]
    for permit in late[:3]:
        permit.settle(Outcome.FAILURE)
    clock.now += 1.5
    late[3].settle(Outcome.FAILURE)
    late[4].settle(Outcome.SUCCESS)
    assert circuit.opens_in_s == pytest.approx(0.5)
    clock.now += 0.5
    trial = circuit.admit()
    late[5].settle(Outcome.SUCCESS)
    assert circuit.state == "half_open"
    assert not circuit.would_admit
    trial.settle(Outcome.SUCCESS)
    late[6].settle(Outcome.FAILURE)
    late[7].settle(Outcome.UNKNOWN)
    assert (circuit.state, circuit.failures) == ("closed", 0)
