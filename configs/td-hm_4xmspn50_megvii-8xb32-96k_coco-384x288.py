# MSPN-50, 4 stages, 384x288, on COCO by the authors' recipe. Their release reports AP 76.9 on
# val2017.
_base_ = ['td-hm_4xmspn50_megvii-8xb32-96k_coco-256x192.py']

input_size = (288, 384)
codec = dict(
    type='CoarseToFineHeatmap',
    input_size=input_size,
    heatmap_size=(72, 96),
    kernel_sizes=(15, 11, 9, 7, 5),
    draw_on_device=True,
)
model = dict(head=dict(decoder=codec))

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
