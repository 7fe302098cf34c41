from __future__ import annotations

import multiprocessing
import os
import signal

from dsvl2_app import DeepseekVL2Processor
from dsvl2_app.bundled import NANO
from nano.lessons import BatchSize, Lessons, load_lessons
from nano.samples import Mixture


def test_a_signal_to_the_whole_group_leaves_the_workers_to_the_run():
    talk = Mixture(shapes=0, documents=0, talk=1)
    lessons = Lessons(DeepseekVL2Processor.from_pretrained(NANO), talk, BatchSize(1, 512, 2), 0.1)
    batches = iter(load_lessons(lessons, workers=1, pin=False))
    assert next(batches).count > 0
    (worker,) = multiprocessing.active_children()
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(worker.pid, number)
    assert all(next(batches).count > 0 for _ in range(4))  # more than were made before the signals
    assert worker.is_alive()
