"""Times are summed up by their middle."""

from mspn_plugin.measure.timing import summarise


def test_middle_half_encloses_the_median():
    summary = summarise([5.0, 1.0, 2.0, 4.0, 3.0])
    assert (summary.low, summary.median, summary.high) == (2.0, 3.0, 4.0)
