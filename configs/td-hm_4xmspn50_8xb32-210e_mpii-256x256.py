# MSPN-50, 4 stages, on MPII: 16 joints, PCKh. The schedule is that of mspn_coco.py.
_base_ = ['_base_/input_256x256.py']

dataset_type = 'MpiiDataset'
data_root = '{{$MPII_ROOT:data/mpii}}/'
num_stages = 4
num_keypoints = 16

default_hooks = dict(checkpoint=dict(save_best='PCK', rule='greater'))
model = dict(
    backbone=dict(num_stages=num_stages),
    head=dict(num_stages=num_stages, out_channels=num_keypoints),
)
train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/mpii_train.json',
        data_prefix=dict(img='images/'),
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
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='MpiiPCKAccuracy')
test_evaluator = val_evaluator
