# A small MSPN on photographs of sports (Leeds Sports Pose Extended), for a machine without a GPU.
#
#   mspn convert lspet lspet_dataset.zip --out data/lspet
#   COCO_ROOT=data/lspet mim train mmpose configs/td-hm_2xmspn-small_1xb32-66e_lspet-160x160.py
#
# Two stages with three eighths of MSPN-50's channels and the blocks 1 1 2 1, from random weights.
# LSPET labels the 12 joints of the limbs and one person in an image, and its boxes are wider than
# COCO's. What trains a small network on two cores is that of mspn_synthetic.py.
_base_ = ['mspn_synthetic.py']

input_size = (160, 160)
heatmap_size = (40, 40)
small_size = (96, 96)
max_epochs = 66
small_epochs = 34
mild_epochs = 10

codec = dict(input_size=input_size, heatmap_size=heatmap_size)
train_cfg = dict(max_epochs=max_epochs, val_interval=11)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=3e-3, weight_decay=0.05, fused=True),
    paramwise_cfg=dict(
        norm_decay_mult=0,
        custom_keys={'conv_layers.1.bn': dict(decay_mult=0), 'head': dict(decay_mult=0)},
    ),
)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = 300
param_scheduler[1].end = max_epochs
auto_scale_lr = dict(base_batch_size=32)

model = dict(
    backbone=dict(stem_channels=24, num_blocks=[1, 1, 2, 1]),
    head=dict(decoder=codec),
)

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale', padding=1.1),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomBBoxTransform', shift_factor=0.1, scale_factor=(0.75, 1.25), rotate_factor=40),
    dict(type='TopdownAffine', input_size=input_size),
    dict(type='PhotometricDistortion'),
    dict(type='GenerateTarget', encoder={**_base_.codec, **codec}),
    dict(type='PackPoseInputs'),
]
# Most is learnt from smaller crops in less time. The heatmaps stay as large.
small_pipeline = train_pipeline[:-1] + [dict(type='Resize', scale=small_size), train_pipeline[-1]]
# It ends with people who are moved, scaled and turned less, in the light of the photograph.
mild_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale', padding=1.1),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomBBoxTransform', shift_factor=0.03, scale_factor=(0.9, 1.1), rotate_factor=20),
    dict(type='TopdownAffine', input_size=input_size),
    dict(type='GenerateTarget', encoder={**_base_.codec, **codec}),
    dict(type='PackPoseInputs'),
]
custom_hooks = _base_.custom_hooks + [
    dict(
        type='mmdet.PipelineSwitchHook',
        switch_epoch=small_epochs,
        switch_pipeline=train_pipeline,
    ),
    dict(
        type='mmdet.PipelineSwitchHook',
        switch_epoch=max_epochs - mild_epochs,
        switch_pipeline=mild_pipeline,
    ),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale', padding=1.1),
    dict(type='TopdownAffine', input_size=input_size),
    dict(type='PackPoseInputs'),
]
train_dataloader = dict(batch_size=32, dataset=dict(pipeline=small_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader

# The area of a person is 0.53 of its box, as in the benchmarks of other sets without outlines.
val_evaluator = [
    dict(
        type='CocoMetric',
        ann_file=_base_.data_root + 'annotations/person_keypoints_val2017.json',
        nms_mode='none',
        use_area=False,
    ),
    dict(type='PCKAccuracy', thr=0.1, norm_item='bbox', prefix='pck_0.1'),
    dict(type='PCKAccuracy', thr=0.2, norm_item='bbox', prefix='pck_0.2'),
]
test_evaluator = val_evaluator
