# A small MSPN on rendered people, for `make demo`: it learns in minutes on two CPU cores.
#
#   python -m mspn_plugin.synthetic --out data/synthetic --train 1600 --val 200 --seed 0
#   COCO_ROOT=data/synthetic mim train mmpose configs/mspn_synthetic.py
#
# It differs from mspn_coco.py in size (a quarter of the channels, one block per unit, 128x96 input),
# starts from random weights, and validates with ground-truth boxes.
_base_ = ['mspn_coco.py']

input_size = (96, 128)
codec = dict(
    type='CoarseToFineHeatmap',
    input_size=input_size,
    heatmap_size=(24, 32),
    kernel_sizes=(11, 9, 7, 5, 3),
    unbiased=True,
)

train_cfg = dict(max_epochs=8, val_interval=2)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = [
    dict(type='LinearLR', begin=0, end=50, start_factor=0.01, by_epoch=False),
    dict(
        type='CosineAnnealingLR', begin=0, end=8, eta_min=1e-5, by_epoch=True, convert_to_iter_based=True
    ),
]
default_hooks = dict(checkpoint=dict(interval=2, max_keep_ckpts=1), logger=dict(interval=20))
randomness = dict(seed=0)

model = dict(
    backbone=dict(
        stem_channels=16, unit_channels=64, num_blocks=[1, 1, 1, 1], init_cfg=None
    ),
    head=dict(unit_channels=64, decoder=codec),
)

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomBBoxTransform', rotate_factor=30),
    dict(type='TopdownAffine', input_size=input_size),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs'),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=input_size),
    dict(type='PackPoseInputs'),
]
train_dataloader = dict(num_workers=2, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=1, dataset=dict(bbox_file=None, pipeline=val_pipeline))
test_dataloader = val_dataloader
