"""Configs are found by their names."""

from pathlib import Path

import pytest

from mspn_plugin import SettingError
from mspn_plugin.config_files import find_config, read_config

REPO = Path(__file__).resolve().parent.parent
MMPOSE_CONFIGS = 'mmpose::body_2d_keypoint/topdown_heatmap/coco/'


def test_a_config_is_found_by_path_package_and_name():
    name = 'td-hm_res50_8xb64-210e_coco-256x192'
    ours = REPO / 'configs' / 'mspn_coco.py'
    assert Path(find_config(str(ours))) == ours
    assert Path(find_config('mspn_coco.py')).samefile(ours)
    in_mmpose = find_config(f'{MMPOSE_CONFIGS}{name}.py')
    assert Path(in_mmpose).name == f'{name}.py'
    assert find_config(f'{MMPOSE_CONFIGS}{name}') == in_mmpose


@pytest.mark.parametrize(
    'name, named',
    [
        ('no_such_config', 'no_such_config'),
        ('mmpose::no/such.py', 'no/such.py'),
        ('nobody::x.py', 'nobody is not installed'),
        ('mmpose::x', 'config mmpose::x: '),
    ],
)
def test_a_config_that_is_missing_is_named(name, named):
    with pytest.raises(SettingError, match=named):
        find_config(name)


@pytest.mark.parametrize('text', ['model = ', "_base_ = ['none.py']", 'a = 1'])
def test_a_file_that_is_no_config_of_a_model_is_named(text, tmp_path):
    (tmp_path / 'my.py').write_text(text)
    with pytest.raises(SettingError, match=r'my\.py'):
        read_config(tmp_path / 'my.py')
