"""One row of a benchmark: what was measured, ours beside the other's. Every topic makes these."""

import argparse
from collections.abc import Callable
from typing import Any


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
