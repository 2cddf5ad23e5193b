# A small MSPN on rendered people, for `make demo`: it learns in minutes on two CPU cores.
#
#   mspn synthetic --out data/synthetic --train 1600 --val 200 --seed 0
#   COCO_ROOT=data/synthetic mim train mmpose configs/mspn_synthetic.py
#
# It differs from mspn_coco.py in size (a quarter of the channels, one block per unit, 128x96
# input), starts from random weights, and validates with ground-truth boxes.
_base_ = ['mspn_coco.py']

input_size = (96, 128)
heatmap_size = (24, 32)
max_epochs = 12

codec = dict(
    type='CoarseToFineHeatmap',
    input_size=input_size,
    heatmap_size=heatmap_size,
    kernel_sizes=(13, 11, 9, 7, 5),
    # At a stride of 4 in so small a crop, whole heatmap pixels would cost most of the AP.
    unbiased=True,
    # The loader then hands over joints instead of heatmaps.
    draw_on_device=True,
)

train_cfg = dict(max_epochs=max_epochs, val_interval=6)
# Half precision where the processor or the GPU has bfloat16, else float32.
optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='bfloat16',
    loss_scale=dict(enabled=False),
    optimizer=dict(lr=4e-3),
    # A head's last norm has to grow from 1 to the height of the targets, 255. At the common rate
    # that alone takes thousands of steps; the demo has two thousand.
    paramwise_cfg=dict(custom_keys={'conv_layers.1.bn': dict(lr_mult=40), 'head': dict(lr_mult=5)}),
)
param_scheduler = [
    dict(type='LinearLR', begin=0, end=50, start_factor=0.01, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=max_epochs,
        eta_min=1e-5,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=1))
randomness = dict(seed=0)

model = dict(
    backbone=dict(
        stem_channels=16,
        unit_channels=64,
        num_blocks=[1, 1, 1, 1],
        channels_last=True,  # it learns on a CPU
        init_cfg=None,
    ),
    head=dict(unit_channels=64, decoder=codec),
)

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale', padding=1.1),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomBBoxTransform', shift_factor=0.03, scale_factor=(0.9, 1.1), rotate_factor=10),
    dict(type='TopdownAffine', input_size=input_size),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs'),
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
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(num_workers=1, dataset=dict(bbox_file=None, pipeline=val_pipeline))
test_dataloader = val_dataloader
