# MSPN-50, 2 stages, on COCO-WholeBody: 133 joints. The schedule is that of mspn_coco.py.
_base_ = ['mspn_coco.py']

dataset_type = 'CocoWholeBodyDataset'
data_root = '{{$COCO_ROOT:data/coco}}/'
num_keypoints = 133

default_hooks = dict(checkpoint=dict(save_best='coco-wholebody/AP', rule='greater'))
# The 8 hardest of COCO's 17 joints are about a half.
model = dict(head=dict(out_channels=num_keypoints, final_loss=dict(type='OHKMLoss', topk=64)))
train_dataloader = dict(
    dataset=dict(type=dataset_type, ann_file='annotations/coco_wholebody_train_v1.0.json')
)
val_dataloader = dict(
    dataset=dict(type=dataset_type, ann_file='annotations/coco_wholebody_val_v1.0.json')
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='CocoWholeBodyMetric',
    ann_file=data_root + 'annotations/coco_wholebody_val_v1.0.json',
)
test_evaluator = val_evaluator
