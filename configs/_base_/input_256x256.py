# mspn_coco.py for square crops of 256x256, as MPII and animals have them.
_base_ = ['../mspn_coco.py']

input_size = (256, 256)
heatmap_size = (64, 64)
codec = dict(
    type='CoarseToFineHeatmap',
    input_size=input_size,
    heatmap_size=heatmap_size,
    kernel_sizes=(15, 11, 9, 7, 5),
    draw_on_device=True,
)
model = dict(head=dict(decoder=codec))

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
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
