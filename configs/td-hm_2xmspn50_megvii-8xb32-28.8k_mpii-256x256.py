# MSPN-50, 2 stages, on MPII (16 joints, PCKh) by the authors' recipe.
#
# Schedule, crop, supervision and decoding are those of the release's MPII config; what it shares
# with COCO's comes from the base. The paper reports PCKh 92.6 on MPII's test set, with 4 stages.
_base_ = ['_base_/megvii_8xb32-96k.py']

dataset_type = 'MpiiDataset'
data_root = '{{$MPII_ROOT:data/mpii}}/'
num_keypoints = 16
input_size = (256, 256)
max_iters = 28800

codec = dict(
    type='CoarseToFineHeatmap',
    input_size=input_size,
    heatmap_size=(64, 64),
    kernel_sizes=(15, 11, 9, 7, 5),
    draw_on_device=True,
    blur_kernel_size=9,
)
train_cfg = dict(max_iters=max_iters)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=max_iters + 1)
default_hooks = dict(checkpoint=dict(save_best='PCK', rule='greater'))

model = dict(head=dict(out_channels=num_keypoints, decoder=codec))

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='KeepVisibility', all_clear=True),
    dict(
        type='MegviiTrainBBox',
        extension=0.25,
        random_extension=(0, 0),
        shrink=1,
        max_rotation=60,
        half_body_prob=0.5,
        half_body_min_joints=8,
        half_body_extension=(0.6, 0.6),
        upper_body_ids=list(range(7, 16)),
    ),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='TopdownAffine', input_size=input_size),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs'),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='MegviiTestBBox', extension=(0.25, 0.25)),
    dict(type='TopdownAffine', input_size=input_size),
    dict(type='PackPoseInputs'),
]
train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/mpii_train.json',
        data_prefix=dict(img='images/'),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/mpii_val.json',
        headbox_file=data_root + 'annotations/mpii_gt_val.mat',
        bbox_file=None,
        data_prefix=dict(img='images/'),
        pipeline=val_pipeline,
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='MpiiPCKAccuracy')
test_evaluator = val_evaluator
