# The recipe of the authors' release (megvii-detection/MSPN) for COCO, on top of mspn_coco.py.
#
# Numbers and where they are from:
#   crop and augmentation  the release's attribute.py; they are the defaults of the two transforms
#   schedule               the release's config: 8 GPUs x 32 persons, 96,000 iterations, Adam with
#                          5e-4 per GPU, warm-up over 2,400 iterations from a tenth, then linearly
#                          to zero, weight decay 1e-5
#   supervision            section 3.3 of the paper, and the release for occluded joints
_base_ = ['../mspn_coco.py']

input_size = (192, 256)
codec = dict(
    type='CoarseToFineHeatmap',
    input_size=input_size,
    heatmap_size=(48, 64),
    kernel_sizes=(15, 11, 9, 7, 5),
    draw_on_device=True,
)

max_iters = 96000
warmup_iters = 2400
train_cfg = dict(
    _delete_=True, type='IterBasedTrainLoop', max_iters=max_iters, val_interval=warmup_iters
)
optim_wrapper = dict(optimizer=dict(type='Adam', lr=5e-4 * 8, weight_decay=1e-5))
# A scheduler's last factor holds at iteration end - 1.
param_scheduler = [
    dict(type='LinearLR', begin=0, end=warmup_iters + 1, start_factor=0.1, by_epoch=False),
    dict(
        type='LinearLR',
        begin=warmup_iters,
        end=max_iters + 1,
        start_factor=1.0,
        end_factor=0.0,
        by_epoch=False,
    ),
]
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=warmup_iters, max_keep_ckpts=3))
log_processor = dict(by_epoch=False)

model = dict(
    # BGR, as OpenCV reads it
    data_preprocessor=dict(
        mean=[103.53, 116.28, 123.675], std=[57.375, 57.12, 58.395], bgr_to_rgb=False
    ),
    head=dict(decoder=codec, empty_occluded=True),
)

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='KeepVisibility'),
    dict(type='MegviiTrainBBox', upper_body_ids=list(range(13))),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='TopdownAffine', input_size=input_size),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs'),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='MegviiTestBBox'),
    dict(type='TopdownAffine', input_size=input_size),
    dict(type='PackPoseInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
