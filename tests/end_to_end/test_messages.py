"""A user's mistake ends a command in one message."""

import shutil

import pytest
import torch
from support.checkpoints import RunsCode
from support.shell import GROUND_TRUTH_BOXES, message, succeeded
from support.spoiled_data import (
    HARMLESS_IMAGES,
    HARMLESS_PERSONS,
    SPOILED_PERSONS,
    TRAIN,
    Data,
    config,
)

from mspn_plugin import config_path
from mspn_plugin.checks.report import check


@pytest.fixture
def project(tmp_path):
    """A stranger's folder, into which the one config file was copied."""
    shutil.copy(config_path('mspn_coco'), tmp_path / 'mspn_coco.py')
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize('command', ['train', 'test'])
def test_a_hostile_checkpoint_is_refused(command, rendered, project, mim):
    trap = project / 'hostile.pth'
    call = RunsCode(open, str(project / 'sprung'), 'w')
    torch.save({'state_dict': {}, 'meta': call}, trap)
    options = [*GROUND_TRUTH_BOXES, f'load_from={trap}']
    given = ('--checkpoint', trap) if command == 'test' else ()
    done = mim(command, 'mspn_coco.py', *given, cwd=project, coco_root=rendered, options=options)
    said = message(done)
    assert f'{trap} holds more than tensors' in said and 'could run code' in said
    assert not (project / 'sprung').exists()


@pytest.mark.slow
def test_a_damaged_checkpoint_is_named_by_a_test(rendered, project, mim):
    file = project / 'cut.pth'
    file.touch()
    arguments = ('test', 'mspn_coco.py', '--checkpoint', file)
    done = mim(*arguments, cwd=project, coco_root=rendered, options=GROUND_TRUTH_BOXES)
    said = message(done)
    assert str(file) in said and 'is it complete' in said


@pytest.mark.slow
def test_an_image_that_cannot_be_read_is_named(rendered, project, mim):
    data = Data(rendered, project / 'coco')
    (data.folder / 'train2017' / data.image['file_name']).write_text('<html>')
    arguments = ('train', 'mspn_coco.py')
    done = mim(*arguments, cwd=project, coco_root=data.folder, options=GROUND_TRUTH_BOXES)
    assert f'{data.image["file_name"]} cannot be read as an image' in message(done)


def test_a_release_that_is_missing_is_named_by_the_conversion(mspn, tmp_path):
    ended = mspn('convert', 'megvii', tmp_path / 'none.pth', tmp_path / 'out.pth')
    assert ended.exit_code == 2 and 'none.pth' in ended.stderr


def test_the_check_gives_status_1_and_every_id(mspn, rendered, tmp_path, monkeypatch):
    data = Data(rendered, tmp_path / 'coco')
    for number, (change, *_) in SPOILED_PERSONS.items():
        data.add_person(number, change)
    monkeypatch.setenv('COCO_ROOT', str(data.save()))
    ended = mspn('check', config_path('mspn_synthetic'), '--no-images', '--no-cost')
    assert ended.exit_code == 1, ended.stderr
    judged = {n for n, (_, _, in_training, _) in SPOILED_PERSONS.items() if in_training}
    assert all(f'id {number}' in ended.stdout for number in judged)


@pytest.mark.slow
def test_data_with_harmless_faults_are_trained_and_evaluated_on(rendered, project, mim):
    data = Data(rendered, project / 'coco')
    for number in (909, 910, 911, 912, 913, 914):
        data.add_person(number, SPOILED_PERSONS[number][0])
    for number, change in HARMLESS_PERSONS.items():
        data.add_person(number, change)
    for number, (name, write) in enumerate(HARMLESS_IMAGES.items(), 3000):
        data.add_image(number, name, write)
    folder = data.save()
    assert not check(config(folder), cost=False).errors()

    # The same data are evaluated on.
    shutil.copy(folder / TRAIN, folder / TRAIN.replace('train', 'val'))
    shutil.rmtree(folder / 'val2017')
    (folder / 'val2017').symlink_to('train2017')
    options = ['train_cfg.max_epochs=1', 'train_dataloader.batch_size=30', *GROUND_TRUTH_BOXES]
    succeeded(mim('train', 'mspn_coco.py', cwd=project, coco_root=folder, options=options))
    assert (project / 'work_dirs' / 'mspn_coco' / 'epoch_1.pth').is_file()
