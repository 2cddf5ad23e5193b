# A small MSPN on photographs of sports (Leeds Sports Pose Extended), for a machine without a GPU.
#
#   mspn convert lspet lspet_dataset.zip --out data/lspet
#   COCO_ROOT=data/lspet mim train mmpose configs/td-hm_2xmspn-small_1xb16-28e_lspet-128x128.py
#
# Two stages with three eighths of MSPN-50's channels and the blocks 1 1 2 1, from random weights.
# LSPET labels the 12 joints of the limbs and one person in an image, and its boxes are wider than
# COCO's.
_base_ = ['mspn_coco.py']

input_size = (128, 128)
max_epochs = 28
small_epochs = 20

codec = dict(
    type='CoarseToFineHeatmap',
    input_size=input_size,
    heatmap_size=(32, 32),
    kernel_sizes=(13, 11, 9, 7, 5),
    # At a stride of 4 in so small a crop, whole heatmap pixels would cost some of the AP.
    unbiased=True,
    # The loader then hands over joints instead of heatmaps.
    draw_on_device=True,
)

train_cfg = dict(max_epochs=max_epochs, val_interval=4)
# Half precision where the processor or the GPU has bfloat16, else float32.
optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='bfloat16',
    loss_scale=dict(enabled=False),
    optimizer=dict(type='AdamW', lr=3e-3, weight_decay=0.01),
    # A head's last norm has to grow from 1 to the height of the targets, 255.
    paramwise_cfg=dict(
        norm_decay_mult=0,
        custom_keys={
            'conv_layers.1.bn': dict(lr_mult=40, decay_mult=0),
            'head': dict(lr_mult=5, decay_mult=0),
        },
    ),
)
param_scheduler = [
    dict(type='LinearLR', begin=0, end=300, start_factor=0.01, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=max_epochs,
        eta_min=1e-5,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
auto_scale_lr = dict(base_batch_size=16)
default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=1))
randomness = dict(seed=0)

model = dict(
    backbone=dict(
        stem_channels=24,
        unit_channels=64,
        num_blocks=[1, 1, 2, 1],
        channels_last=True,
        init_cfg=None,
    ),
    head=dict(unit_channels=64, decoder=codec),
)

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale', padding=1.1),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomBBoxTransform', shift_factor=0.1, scale_factor=(0.75, 1.25), rotate_factor=40),
    dict(type='TopdownAffine', input_size=input_size),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs'),
]
# Most is learnt from crops of 96 x 96 pixels in 0.6 of the time. The heatmaps stay as large.
small_pipeline = train_pipeline[:-1] + [dict(type='Resize', scale=(96, 96)), train_pipeline[-1]]
custom_hooks = _base_.custom_hooks + [
    dict(
        type='mmdet.PipelineSwitchHook',
        switch_epoch=small_epochs,
        switch_pipeline=train_pipeline,
    )
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale', padding=1.1),
    dict(type='TopdownAffine', input_size=input_size),
    dict(type='PackPoseInputs'),
]
# Workers would take turns with the training on two cores.
train_dataloader = dict(
    batch_size=16,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(pipeline=small_pipeline),
)
val_dataloader = dict(num_workers=1, dataset=dict(bbox_file=None, pipeline=val_pipeline))
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
