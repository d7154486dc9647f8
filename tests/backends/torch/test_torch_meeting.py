"""The meeting of processes: for several networks one after the other, and within a limited time."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from netspec_torch import meeting as own
from torch import distributed

from netspec.lowering import TrainerSettings
from netspec.recipe import Recipe, Sgd


def test_a_group_does_not_see_the_addresses_of_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = distributed.HashStore()
    stores: list[Any] = []

    def rendezvous(*_: object, **__: object) -> Iterator[tuple[Any, int, int]]:
        yield shared, 0, 2

    module = sys.modules["torch.distributed.rendezvous"]  # the attribute of this name is the function
    monkeypatch.setattr(module, "rendezvous", rendezvous)
    monkeypatch.setattr(distributed, "init_process_group", lambda *_, store, **__: stores.append(store))
    settings = TrainerSettings(Recipe(batch_size=1, epochs=1, optimizer=Sgd(name="sgd", learning_rate=1.0)))
    for _ in range(2):
        own._form_group("gloo", settings, 2)
    stores[0].set("address", "here")
    assert stores[0].check(["address"])
    assert not stores[1].check(["address"])


CPU = torch.device("cpu")


def test_a_call_within_a_limit_returns_and_raises_as_by_itself() -> None:
    assert own.within(60, CPU, lambda: 3) == 3
    with pytest.raises(ValueError, match="a mistake"):
        own.within(60, CPU, lambda: (_ for _ in ()).throw(ValueError("a mistake")))


def test_a_call_that_gets_no_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "MEETING", 0.01)
    answer = threading.Event()
    with pytest.raises(own.UnansweredError, match=r"no answer within 0\.02 s"):
        own.within(0.01, CPU, answer.wait)
    answer.set()
