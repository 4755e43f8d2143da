"""Ports that tests choose."""

import random

import pytest

from free_ports import free_port


def test_a_chosen_port_is_not_chosen_again_before_its_process_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    first = free_port()
    offered = iter([first, first, free_port()])
    monkeypatch.setattr(random, "randrange", lambda *_: next(offered, 12_345))
    assert free_port() != first
