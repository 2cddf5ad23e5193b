"""What a user types, through the real command line, in a folder that is not the repository."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat
from support import shell
from support.shell import GROUND_TRUTH_BOXES, message, succeeded
from support.small_model import estimator

from mspn_plugin import config_path

REPO = Path(__file__).resolve().parents[2]


def logged(work_dir):
    """Every line that the runs of a work folder logged as JSON."""
    lines = []
    for file in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        lines += [json.loads(line) for line in file.read_text().splitlines()]
    return lines


@pytest.fixture
def project(tmp_path):
    """A stranger's folder, into which the one config file was copied."""
    shutil.copy(REPO / 'configs' / 'mspn_coco.py', tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_copied_config_trains_and_tests_on_photographs(project, coco_photos, mim):
    one = ['train_cfg.max_epochs=1', *GROUND_TRUTH_BOXES]
    command = ('train', 'mspn_coco.py')
    succeeded(mim(*command, cwd=project, coco_root=coco_photos, options=one))

    work_dir = project / 'work_dirs' / 'mspn_coco'
    assert (work_dir / 'epoch_1.pth').is_file()
    steps = [line for line in logged(work_dir) if 'loss' in line]
    assert len(steps) == 11 and all(np.isfinite(line['loss']) for line in steps)
    assert {'kpt_stage1', 'kpt_stage2', 'acc_pose'} <= steps[0].keys()
    assert any('coco/AP' in line for line in logged(work_dir))

    boxes = coco_photos / 'person_detection_results' / 'val2017_boxes.json'
    out = project / 'elsewhere'
    with_boxes = [
        f'val_dataloader.dataset.bbox_file={boxes}',
        f'test_dataloader.dataset.bbox_file={boxes}',
        f'test_evaluator.0.outfile_prefix={out}/predictions',
        'test_evaluator.0.nms_mode=oks_nms',
    ]
    checkpoint = ('--checkpoint', work_dir / 'epoch_1.pth')
    arguments = ('mspn_coco.py', *checkpoint, '--work-dir', out)
    # --dump makes a list of the evaluators, the COCO metric its first.
    report = ('--out', out / 'metrics.json', '--dump', out / 'dumped.pkl')
    out.mkdir()
    succeeded(
        mim('test', *arguments, *report, cwd=project, coco_root=coco_photos, options=with_boxes)
    )
    metrics = json.loads((out / 'metrics.json').read_text())
    expected = evaluate_with_pycocotools(
        coco_photos / 'annotations' / 'person_keypoints_val2017.json',
        out / 'predictions.keypoints.json',
    )
    reported = [metrics[f'coco/{name}'] for name in COCO_NAMES]
    assert reported == pytest.approx(expected, abs=1e-9)
    assert (out / 'dumped.pkl').stat().st_size > 0


COCO_NAMES = (
    'AP',
    'AP .5',
    'AP .75',
    'AP (M)',
    'AP (L)',
    'AR',
    'AR .5',
    'AR .75',
    'AR (M)',
    'AR (L)',
)


def evaluate_with_pycocotools(ann_file, predictions):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = COCO(str(ann_file))
    evaluation = COCOeval(truth, truth.loadRes(str(predictions)), 'keypoints')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return list(evaluation.stats)


@pytest.mark.slow
def test_a_missing_data_folder_is_named_with_the_variable_that_sets_it(project):
    nowhere = project / 'no' / 'coco'
    # In a fresh process, which knows of the plugin by the config alone.
    done = shell.mim('train', 'mspn_coco.py', cwd=project, coco_root=nowhere)
    said = message(done)
    assert str(nowhere / 'annotations' / 'person_keypoints_train2017.json') in said
    assert 'COCO_ROOT' in said


@pytest.mark.slow
def test_a_checkpoint_with_another_number_of_stages_is_refused(project, coco_photos, mim):
    checkpoint = project / 'one_stage.pth'
    torch.save({'state_dict': estimator().state_dict()}, checkpoint)
    before = checkpoint.read_bytes()
    done = mim(
        'test',
        'mspn_coco.py',
        '--checkpoint',
        checkpoint,
        cwd=project,
        coco_root=coco_photos,
        options=GROUND_TRUTH_BOXES,
    )
    said = message(done)
    assert 'num_stages=1 and the backbone num_stages=2; set num_stages=1' in said
    assert checkpoint.read_bytes() == before


@pytest.mark.slow
def test_the_authors_recipe_for_mpii_trains_and_is_scored_by_pckh(shared_data, tmp_path, mim):
    images, annotations = tmp_path / 'images', tmp_path / 'annotations'
    images.symlink_to(shared_data / 'mpii')
    annotations.mkdir()
    people = json.loads((shared_data / 'mpii' / 'test_mpii.json').read_text())
    for split in ('train', 'val'):
        (annotations / f'mpii_{split}.json').write_text(json.dumps(people))
    # MPII's boxes of heads, (2 corners, x and y, persons), in a file of its own.
    heads = np.array([np.array(person['joints'])[[8, 9]] for person in people])
    heads[..., 1] += (0, 50)
    savemat(annotations / 'mpii_gt_val.mat', {'headboxes_src': heads.transpose(1, 2, 0)})

    config = config_path('td-hm_2xmspn50_megvii-8xb32-28.8k_mpii-256x256')
    options = ['train_cfg.max_iters=3', 'train_dataloader.batch_size=2']  # an epoch
    options.append(f'data_root={tmp_path}/')
    for part in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        options.append(f'{part}.dataset.data_root={tmp_path}/')
    heads_of = f'dataset.headbox_file={annotations}/mpii_gt_val.mat'
    options += [f'val_dataloader.{heads_of}', f'test_dataloader.{heads_of}']
    work_dir = tmp_path / 'work'
    command = ('train', config, '--work-dir', work_dir)
    succeeded(mim(*command, cwd=tmp_path, coco_root=tmp_path, options=options))
    assert [line['step'] for line in logged(work_dir) if 'PCK' in line]
