"""One host fills the cache, then the others go in waves; with threads for pyinfra's greenlets."""

import threading
from contextlib import ExitStack

import pytest

from deploys.areas.waves import Wave
from tests.areas.shell import wait_until


class Board(threading.Thread):
    """A host that wants its turn, and keeps it until it is told how its pull ends."""

    def __init__(self, wave: Wave, size: int = 2) -> None:
        super().__init__(daemon=True)
        self.begun, self.waits, self._end = threading.Event(), threading.Event(), threading.Event()
        self._wave, self._size, self._good = wave, size, False
        self.start()

    def run(self) -> None:
        """Take the turn."""
        with self._wave.turn(self._size, on_wait=self.waits.set):
            self.begun.set()
            self._end.wait(20)
            if self._good:
                self._wave.fill()

    def end(self, *, good: bool) -> None:
        """Let its pull end."""
        self._good = good
        self._end.set()
        self.join(20)


def begun(boards: list[Board], count: int) -> list[Board]:
    """Those that have begun, when ``count`` have."""
    wait_until(lambda: sum(board.begun.is_set() for board in boards) >= count)
    found = [board for board in boards if board.begun.is_set()]
    assert len(found) == count
    return found


def test_the_first_one_is_alone_then_come_waves() -> None:
    wave = Wave()
    first = Board(wave)
    assert first.begun.wait(20)
    others = [Board(wave) for _ in range(5)]
    assert all(board.waits.wait(20) for board in others)
    assert not any(board.begun.is_set() for board in others)
    first.end(good=True)
    for ended in range(5):
        now = begun(others, min(ended + 2, 5))
        next(board for board in now if board.is_alive()).end(good=True)


def test_where_the_first_one_fails_the_next_one_is_alone() -> None:
    wave = Wave()
    first = Board(wave)
    assert first.begun.wait(20)
    others = [Board(wave) for _ in range(3)]
    assert all(board.waits.wait(20) for board in others)
    first.end(good=False)
    [second] = begun(others, 1)
    second.end(good=True)
    begun(others, 3)


def test_a_fleet_does_not_wait_for_each_others_failing_without_end() -> None:
    wave = Wave()
    for _ in range(3):
        Board(wave).end(good=False)
    begun([Board(wave) for _ in range(2)], 2)


def test_an_exception_ends_the_turn() -> None:
    wave = Wave()
    with pytest.raises(OSError, match="gone"), wave.turn(1, on_wait=pytest.fail):
        raise OSError("gone")
    with wave.turn(1, on_wait=pytest.fail):
        pass


def test_filled_cache_lets_a_whole_wave_in_at_once() -> None:
    wave = Wave()
    wave.fill()
    with ExitStack() as turns:
        for _ in range(3):
            turns.enter_context(wave.turn(3, on_wait=pytest.fail))
