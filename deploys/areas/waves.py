"""Who of the fleet may pull an image through a cache now: one host first, which fills it, then a wave at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Where so many in a row could not fill the cache, the others do not wait for each other's failing any more.
ENOUGH_FAILURES = 3


class Wave:
    """The hosts that want one image. Hosts are greenlets here: pyinfra has gevent replace the locks of ``threading``.

    Who waits holds nothing that the host before it needs, and the first host does not wait: with any ``--parallel``
    one that runs is at work.
    """

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._is_filled = False
        self._failures = 0
        self._at_work = 0

    @contextmanager
    def turn(self, size: int, *, on_wait: Callable[[], None]) -> Iterator[None]:
        """Wait for a turn; it ends with the block. ``size``: hosts at a time, once one has called ``fill``.

        ``on_wait`` is called where it is not this host's turn at once. Until somebody has filled the cache each one
        tries alone, the next one where one has failed.
        """
        with self._change:
            if not self._is_open(size):
                on_wait()
                self._change.wait_for(lambda: self._is_open(size))
            self._at_work += 1
        try:
            yield
        finally:
            with self._change:
                self._at_work -= 1
                self._failures += not self._is_filled
                self._change.notify_all()

    def fill(self) -> None:
        """The image went through the cache once."""
        with self._change:
            self._is_filled = True
            self._change.notify_all()

    def _is_open(self, size: int) -> bool:
        is_alone = not self._is_filled and self._failures < ENOUGH_FAILURES
        return self._at_work < (1 if is_alone else size)
