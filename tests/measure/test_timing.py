"""Times are taken in turns, and summed up by their middle."""

from mspn_plugin.measure.timing import interleaved, summarise


def test_contenders_take_turns_and_warm_up_is_thrown_away():
    calls = []
    contenders = {name: lambda name=name: calls.append(name) for name in 'AB'}
    timings = interleaved(contenders, repeats=3, warmup=1)
    assert calls == list('ABABABAB')
    assert [len(timings[name].samples) for name in 'AB'] == [3, 3]
    calls.clear()
    timings = interleaved(contenders, repeats=2, warmup=0, settle=1)
    assert calls == list('AABBAABB')
    assert [len(timings[name].samples) for name in 'AB'] == [2, 2]


def test_middle_half_encloses_the_median():
    summary = summarise([5.0, 1.0, 2.0, 4.0, 3.0])
    assert (summary.low, summary.median, summary.high) == (2.0, 3.0, 4.0)
