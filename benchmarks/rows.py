"""What every topic of a benchmark does: time contenders in turn, and make rows of the times."""

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from mspn_plugin.measure.timing import Timing, clock, summarise


def interleaved(
    contenders: Mapping[str, Callable[[], object]],
    repeats: int = 15,
    warmup: int = 2,
    settle: int = 0,
) -> dict[str, Timing]:
    """Time callables in turn, A B C A B C, so that a noisy machine disturbs all of them alike.

    Args:
        contenders (Mapping[str, Callable]): Name to a callable without arguments. Work that was
            queued on a GPU is waited for before the clock is read.
        repeats (int): How often each contender is measured.
        warmup (int): Rounds that are run and thrown away first.
        settle (int): Calls that are thrown away in every turn before the one that counts. Without,
            each contender finds caches and free memory as the one before has left them.

    Returns:
        dict[str, Timing]: Name to its timing in seconds, in the order given.
    """
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for round_index in range(warmup + repeats):
        for name, call in contenders.items():
            for _ in range(settle):
                call()
            seconds = clock(call)
            if round_index >= warmup:
                samples[name].append(seconds)
    return {name: summarise(values) for name, values in samples.items()}


def make_row(topic: str, what: str, ours: float, theirs: float, note: str = '') -> dict[str, Any]:
    """Make a row.

    Args:
        topic (str): The topic.
        what (str): What was measured.
        ours (float): Our time in seconds.
        theirs (float): The other's.
        note (str): A remark.

    Returns:
        dict: ``topic``, ``what``, ``ours_ms``, ``mmpose_ms``, ``ratio`` (how many times faster ours
        is) and ``note``.
    """
    return dict(
        topic=topic,
        what=what,
        ours_ms=ours * 1e3,
        mmpose_ms=theirs * 1e3,
        ratio=theirs / ours,
        note=note,
    )


def run_topic(
    description: str | None, run: Callable[[bool], list[dict[str, Any]]], beside: str = 'MMPose'
) -> None:
    """Run one topic from the command line, and print its rows.

    Args:
        description (str, optional): The module's docstring, of which the first line is shown.
        run (Callable): The topic; it is told whether to be quick.
        beside (str): Whose the other times are.
    """
    parser = argparse.ArgumentParser(description=(description or '').split('\n')[0])
    parser.add_argument('--quick', action='store_true', help='less work and fewer repeats')
    for row in run(parser.parse_args().quick):
        print(
            f'{row["what"]:66} ours {row["ours_ms"]:9.3f} ms   '
            f'{beside} {row["mmpose_ms"]:9.3f} ms   x{row["ratio"]:.2f}   {row["note"]}'
        )
