"""The share of a core, the gate for recalls and the idle thread."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from penchant_daemon.pace import BETWEEN_BATCHES_S, MANY_EVENTS, CpuShare, RecallGate, idle_executor


def test_a_little_work_after_a_rest_is_free_and_much_work_is_held_to_the_share() -> None:
    now = [0.0]
    cpu = CpuShare(0.25, burst_s=1.0, clock=lambda: now[0])
    assert cpu.spend(0.5) == 0.0
    assert cpu.spend(0.5) == 0.0
    worked = rested = 0.0
    for _ in range(100):  # each spell of 0.2 s is followed by the rest that was asked for
        now[0] += 0.2
        worked += 0.2
        pause = cpu.spend(0.2)
        now[0] += pause
        rested += pause
    assert worked / (worked + rested) == pytest.approx(0.25, rel=0.05)


def test_savings_end_at_the_burst() -> None:
    now = [0.0]
    cpu = CpuShare(0.5, burst_s=1.0, clock=lambda: now[0])
    now[0] = 1_000_000.0
    assert cpu.spend(3.0) == pytest.approx(4.0)


def test_the_gate_tells_whether_a_recall_runs_and_closes_for_a_moment() -> None:
    gate = RecallGate()
    assert gate.is_quiet
    with gate, gate:
        assert not gate.is_quiet
        gate.wait_until_quiet(0.01)  # returns although it is not quiet
    assert gate.is_quiet
    entered = threading.Event()

    def recall() -> None:
        with gate:
            entered.set()

    with gate.closed():
        waiting = threading.Thread(target=recall)
        waiting.start()
        assert not entered.wait(0.05)
    waiting.join(5)
    assert entered.is_set()


def test_the_gate_tells_an_import_from_a_conversation() -> None:
    gate = RecallGate()
    assert not gate.is_filling
    for _ in range(MANY_EVENTS - 1):
        gate.stored(1)
    assert not gate.is_filling
    gate.stored(1)
    assert gate.is_filling
    threading.Event().wait(1.2 * BETWEEN_BATCHES_S)
    assert not gate.is_filling
    gate.stored(1)
    assert not gate.is_filling
    gate.stored(100)
    assert gate.is_filling


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives single threads a priority")
def test_the_idle_thread_has_idle_priority_and_the_process_keeps_its_own() -> None:
    pool = idle_executor("test")
    try:
        policy, nice = pool.submit(
            lambda: (os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        ).result(5)
        assert policy == os.SCHED_IDLE or nice == 19
        assert os.sched_getscheduler(0) == os.SCHED_OTHER
    finally:
        pool.shutdown()
