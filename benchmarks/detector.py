"""Poses with found boxes beside poses with the annotations': RTMDet learns people, mspn predicts.

    make demo
    python benchmarks/detector.py --data demo/data --config configs/mspn_synthetic.py \
        --checkpoint demo/training/best_coco_AP_epoch_12.pth --out demo/detector

MMDetection's RTMDet-tiny learns people in COCO's layout from random weights, in its own config but
for the size of the images, the number of epochs and one class. ``mspn predict`` then runs twice on
the validation images. With mmcv-lite everything runs without a compiled operator.
"""

import argparse
import contextlib
import io
import json
from pathlib import Path

from click.testing import CliRunner
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

import mspn_cli
import mspn_plugin  # noqa: F401  (lets mmdet import)

DETECTOR = """
_base_ = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'

data_root = {data!r}
size = ({size}, {size})
metainfo = dict(classes=('person',))
grey = dict(img=(114, 114, 114))

model = dict(backbone=dict(init_cfg=None), bbox_head=dict(num_classes=1))

# The last epochs' pipeline of RTMDet, without mosaics.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomResize', scale=size, ratio_range=(0.75, 1.5), keep_ratio=True),
    dict(type='RandomCrop', crop_size=size),
    dict(type='YOLOXHSVRandomAug'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Pad', size=size, pad_val=grey),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=size, keep_ratio=True),
    dict(type='Pad', size=size, pad_val=grey),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    batch_sampler=None,
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/person_keypoints_train2017.json',
        metainfo=metainfo,
        indices={images},
        pipeline=train_pipeline,
    ),
)
test_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/person_keypoints_val2017.json',
        metainfo=metainfo,
        pipeline=test_pipeline,
    ),
)
val_dataloader = val_cfg = val_evaluator = None

max_epochs = {epochs}
train_cfg = dict(_delete_=True, type='EpochBasedTrainLoop', max_epochs=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-5,
        begin=0,
        end=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
custom_hooks = [dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.002)]
default_hooks = dict(checkpoint=dict(interval=max_epochs), logger=dict(interval=10))
"""


def train_detector(data: Path, folder: Path, size: int, epochs: int, images: int) -> list[str]:
    """Train, and return the options that name the detector's config and weights."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / 'rtmdet.py'
    config.write_text(
        DETECTOR.format(data=f'{data.resolve()}/', size=size, epochs=epochs, images=images)
    )
    cfg = Config.fromfile(config)
    cfg.work_dir = str(folder)
    init_default_scope('mmdet')
    Runner.from_cfg(cfg).train()
    weights = folder / f'epoch_{epochs}.pth'
    return ['--detector', str(config), '--detector-weights', str(weights)]


def predict(images: Path, out: Path, options: list[str]) -> Path:
    """Run ``mspn predict``, and return the file of its results."""
    arguments = ['predict', str(images), *options, '--out', str(out), '--no-pictures']
    done = CliRunner().invoke(mspn_cli.main, [*arguments, '--overwrite'])
    if done.exit_code not in (0, 3):  # 3: a box was left out
        raise SystemExit(done.output)
    return out / 'keypoints.json'


def average_precision(annotations: COCO, results: Path, kind: str) -> float:
    """COCO's AP of results: of their ``bbox`` or of their ``keypoints``."""
    found = json.loads(results.read_text())
    if kind == 'bbox':
        found = [dict(result, score=result['bbox_score']) for result in found]
    if not found:
        return 0.0
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(annotations, annotations.loadRes(found), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


def main() -> None:
    """Train, predict twice, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, required=True, help="people in COCO's layout")
    parser.add_argument('--config', required=True, help='of the pose estimator')
    parser.add_argument('--checkpoint', required=True, help='its weights')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/detector'))
    parser.add_argument('--size', type=int, default=320, help="longer side of the detector's input")
    parser.add_argument('--epochs', type=int, default=6)
    parser.add_argument('--images', type=int, default=800, help='training images')
    parser.add_argument('--min-box-score', default='0.05')
    parser.add_argument('--nms-threshold', default='0.65', help="RTMDet's own")
    args = parser.parse_args()

    detector = train_detector(args.data, args.out, args.size, args.epochs, args.images)
    limits = ['--min-box-score', args.min_box_score, '--nms-threshold', args.nms_threshold]
    boxes = args.data / 'annotations' / 'person_keypoints_val2017.json'
    estimator = ['--config', args.config, '--checkpoint', args.checkpoint]
    images = args.data / 'val2017'
    annotated = predict(images, args.out / 'annotated', [*estimator, '--boxes', str(boxes)])
    found = predict(images, args.out / 'found', [*estimator, *detector, *limits])

    with contextlib.redirect_stdout(io.StringIO()):
        annotations = COCO(str(boxes))
    print('\n| boxes | AP of boxes | AP of poses |')
    print('| --- | --- | --- |')
    pose = average_precision(annotations, annotated, 'keypoints')
    print(f"| the annotations' | | {pose:.3f} |")
    box, pose = (average_precision(annotations, found, kind) for kind in ('bbox', 'keypoints'))
    print(f"| RTMDet-tiny's | {box:.3f} | {pose:.3f} |")


if __name__ == '__main__':
    main()
