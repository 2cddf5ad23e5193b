"""``mspn benchmark``."""

import json
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
TINY = [
    'model.backbone.unit_channels=8',
    'model.backbone.stem_channels=8',
    'model.head.unit_channels=8',
]


def test_the_command_measures_what_it_can_and_explains_the_rest(mspn, tmp_path):
    broken = tmp_path / 'broken.py'
    broken.write_text("_base_ = ['mspn_synthetic.py']\nmodel = dict(backbone=dict(num_stages=0))\n")
    for name in ('mspn_coco.py', 'mspn_synthetic.py'):
        (tmp_path / name).write_bytes((REPO / 'configs' / name).read_bytes())
    ended = mspn(
        *('benchmark', tmp_path / 'mspn_synthetic.py', broken, 'absent'),
        *('--batch-size', 2, '--repeats', 2, '--seconds', 0, '--device', 'cpu'),
        *('--out', tmp_path / 'out', '--cfg-options', *TINY),
    )
    assert ended.exit_code == 1, ended.output
    files = {path.suffix: path for path in (tmp_path / 'out').iterdir()}
    assert set(files) == {'.json', '.md', '.png'}
    result = json.loads(files['.json'].read_text())
    assert result['complete']
    good, wrong, absent = result['rows']
    assert good['reasons'] == {}
    assert good['input_size'] == [96, 128]
    for key in ('latency', 'batch', 'training', 'pipeline'):
        assert len(good[key]['samples']) == 2
        assert 0 < good[key]['low'] <= good[key]['median'] <= good[key]['high']
    assert good['multiply_adds'] > 0
    assert 0 < good['predicting_bytes'] < good['training_bytes']
    assert 'num_stages' in wrong['reasons']['building']
    assert 'no file' in absent['reasons']['building']
    text = files['.md'].read_text()
    assert "no config of mspn_plugin is called 'absent'" in text and '| 1.00 |' in text


def test_wrong_arguments_are_refused(mspn):
    for arguments, named in (
        (['a', 'b', '--checkpoint', 'x'], '1 files for 2 configs'),
        (['a', '--repeats', '0'], 'not in the range'),
    ):
        ended = mspn('benchmark', *arguments)
        assert ended.exit_code == 2 and named in ended.stderr
