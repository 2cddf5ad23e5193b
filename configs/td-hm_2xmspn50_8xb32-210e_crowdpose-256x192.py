# MSPN-50, 2 stages, on CrowdPose: 14 joints. The schedule is that of mspn_coco.py.
_base_ = ['mspn_coco.py']

dataset_type = 'CrowdPoseDataset'
data_root = '{{$CROWDPOSE_ROOT:data/crowdpose}}/'
num_keypoints = 14

default_hooks = dict(checkpoint=dict(save_best='crowdpose/AP', rule='greater'))
model = dict(head=dict(out_channels=num_keypoints))
train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/mmpose_crowdpose_trainval.json',
        data_prefix=dict(img='images/'),
    )
)
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/mmpose_crowdpose_test.json',
        bbox_file=data_root + 'annotations/det_for_crowd_test_0.1_0.5.json',
        data_prefix=dict(img='images/'),
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='CocoMetric',
    ann_file=data_root + 'annotations/mmpose_crowdpose_test.json',
    use_area=False,
    iou_type='keypoints_crowd',
    prefix='crowdpose',
)
test_evaluator = val_evaluator
