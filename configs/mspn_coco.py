# MSPN-50 with two stages on COCO, 256x192 (height x width): one file that can be copied anywhere.
#
#   mim train mmpose configs/mspn_coco.py
#   mim test mmpose configs/mspn_coco.py --checkpoint CHECKPOINT
#
# Optimizer, schedule and augmentation are those of MMPose's own two-stage MSPN-50
# (td-hm_2xmspn50_8xb32-210e_coco-256x192), for which its model zoo reports AP 0.754 on val2017.
# That is 8 GPUs x 32 persons; on other numbers add --auto-scale-lr.
_base_ = ['mmpose::_base_/default_runtime.py']

custom_imports = dict(imports=['mspn_plugin'], allow_failed_imports=False)

# What people change most. Everything below follows from these lines.
data_root = '{{$COCO_ROOT:data/coco}}/'
num_stages = 2
input_size = (192, 256)  # (w, h) in pixels
heatmap_size = (48, 64)  # a quarter of it
num_keypoints = 17

# MMPoseInferencer looks for these two here.
dataset_type = 'CocoDataset'
data_mode = 'topdown'

# runtime
train_cfg = dict(max_epochs=210, val_interval=10)
# In one pass over the weights (fused); Adam's arithmetic is the same.
optim_wrapper = dict(optimizer=dict(type='Adam', lr=5e-3, fused=True))
param_scheduler = [
    dict(type='LinearLR', begin=0, end=500, start_factor=0.001, by_epoch=False),
    dict(type='MultiStepLR', begin=0, end=210, milestones=[170, 200], gamma=0.1, by_epoch=True),
]
auto_scale_lr = dict(base_batch_size=256)
default_hooks = dict(
    # A run that was killed goes on from its newest whole checkpoint, as if nothing had been.
    checkpoint=dict(type='SafeCheckpointHook', save_best='coco/AP', rule='greater'),
    sample_seed=dict(type='SampleSeedHook'),
    finite_loss=dict(type='FiniteLossHook'),
)
custom_hooks = [
    dict(type='SyncBuffersHook'),
    # Looks at data, model and checkpoint together before the first step.
    dict(type='PreflightHook'),
]

# The targets of all levels, from coarse (wide Gaussians) to fine, and the decoding. The loader
# hands over keypoints, and the head draws.
codec = dict(
    type='CoarseToFineHeatmap',
    input_size=input_size,
    heatmap_size=heatmap_size,
    kernel_sizes=(15, 11, 9, 7, 5),
    draw_on_device=True,
)

model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
    backbone=dict(
        type='MSPNBackbone',
        num_stages=num_stages,
        num_blocks=[3, 4, 6, 3],
        norm_cfg=dict(type='BN'),
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),
    ),
    head=dict(
        type='MultiStageHeatmapHead',
        num_stages=num_stages,
        out_channels=num_keypoints,
        decoder=codec,
    ),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False),
)

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomHalfBody'),
    dict(type='RandomBBoxTransform'),
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

train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_mode=data_mode,
        ann_file='annotations/person_keypoints_train2017.json',
        data_prefix=dict(img='train2017/'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_mode=data_mode,
        ann_file='annotations/person_keypoints_val2017.json',
        # The boxes that published results use. Set it to None for ground-truth boxes.
        bbox_file=data_root + 'person_detection_results/'
        'COCO_val2017_detections_AP_H_56_person.json',
        data_prefix=dict(img='val2017/'),
        test_mode=True,
        pipeline=val_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(
    type='CocoMetric',
    ann_file=data_root + 'annotations/person_keypoints_val2017.json',
    nms_mode='none',
)
test_evaluator = val_evaluator
