# A template for a skeleton of your own, here six joints of a figure that has left and right.
#
#   mim train mmpose configs/mspn_custom.py
#
# The data is in COCO's format: `keypoints` of each annotation has x, y and v of every joint in the
# order of `joints`, and `bbox` is x, y, w, h. docs/train-on-my-data.md goes through it.
_base_ = ['mspn_coco.py']

data_root = '{{$MY_DATA:data/mine}}/'

# name, name of its mirror image ('' for none), part for half-body crops ('upper', 'lower' or ''),
# sigma of the OKS metric: how far annotators differ, relative to the object's size
joints = [
    ('head', '', 'upper', 0.03),
    ('left_hand', 'right_hand', 'upper', 0.06),
    ('right_hand', 'left_hand', 'upper', 0.06),
    ('hip', '', 'lower', 0.1),
    ('left_foot', 'right_foot', 'lower', 0.09),
    ('right_foot', 'left_foot', 'lower', 0.09),
]
bones = [
    ('head', 'hip'),
    ('head', 'left_hand'),
    ('head', 'right_hand'),
    ('hip', 'left_foot'),
    ('hip', 'right_foot'),
]
num_keypoints = len(joints)
skeleton = dict(
    dataset_name='mine',
    paper_info=dict(),
    keypoint_info={
        index: dict(name=name, id=index, color=[255, 128, 0], type=part, swap=mirror)
        for index, (name, mirror, part, _) in enumerate(joints)
    },
    skeleton_info={
        index: dict(link=bone, id=index, color=[0, 128, 255]) for index, bone in enumerate(bones)
    },
    joint_weights=[1.0] * num_keypoints,
    sigmas=[sigma for _, _, _, sigma in joints],
)

model = dict(head=dict(out_channels=num_keypoints))
train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        metainfo=skeleton,
        ann_file='annotations/train.json',
        data_prefix=dict(img='train/'),
    )
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        metainfo=skeleton,
        ann_file='annotations/val.json',
        data_prefix=dict(img='val/'),
        bbox_file=None,
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/val.json')
test_evaluator = val_evaluator
