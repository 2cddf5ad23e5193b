# The weights that come with the plugin: a small MSPN for people in photographs, from sports,
# COCO and rendered people. It goes on from the network of the recipe for sports alone, then once
# more from what it has come to; two shorter trainings without OHKM (16e, 17e) follow.
#
#   make weights
#
# DATA_ROOT (default: data) holds lspet/ as `mspn convert lspet` writes it, coco/ and coco_more/ in
# COCO's layout, rendered/ as `mspn synthetic` writes it, and the sports network's work directory
# small_lspet/. The face is learnt from COCO and rendered people: LSPET labels the limbs only.
_base_ = ['td-hm_2xmspn-small_1xb32-66e_lspet-160x160.py']

folder = '{{$DATA_ROOT:data}}/'
load_from = folder + 'small_lspet/epoch_66.pth'
max_epochs = 46

train_cfg = dict(max_epochs=max_epochs, val_interval=2)
optim_wrapper = dict(
    optimizer=dict(lr=2e-3),
    # The heads' last norms have grown already.
    paramwise_cfg=dict(
        _delete_=True,
        norm_decay_mult=0,
        custom_keys={'head': dict(decay_mult=0)},
    ),
)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = 100
param_scheduler[1].end = max_epochs

# COCO's persons are cut off by the border, half hidden and boxed by their outline.
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomHalfBody'),
    dict(
        type='RandomBBoxTransform',
        scale_factor=(0.65, 1.35),
        rotate_factor=180,
        rotate_prob=0.4,
    ),
    dict(type='TopdownAffine', input_size=_base_.input_size),
    dict(type='PhotometricDistortion'),
    dict(type='GenerateTarget', encoder=_base_.codec),
    dict(type='PackPoseInputs'),
]
# As in the recipe for sports, it ends with people who are moved, scaled and turned less.
mild_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomHalfBody'),
    dict(
        type='RandomBBoxTransform',
        shift_factor=0.08,
        scale_factor=(0.85, 1.15),
        rotate_factor=30,
    ),
    dict(type='TopdownAffine', input_size=_base_.input_size),
    dict(type='GenerateTarget', encoder=_base_.codec),
    dict(type='PackPoseInputs'),
]
# The recipe's own switches are the last two of its hooks.
custom_hooks = _base_.custom_hooks[:-2] + [
    dict(
        type='mmdet.PipelineSwitchHook',
        switch_epoch=max_epochs - _base_.mild_epochs,
        switch_pipeline=mild_pipeline,
    ),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=_base_.input_size),
    dict(type='PackPoseInputs'),
]

people = dict(
    type='CocoDataset',
    data_mode='topdown',
    ann_file='annotations/person_keypoints_train2017.json',
    data_prefix=dict(img='train2017/'),
)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='CombinedDataset',
        metainfo=dict(from_file='configs/_base_/datasets/coco.py'),
        datasets=[
            dict(data_root=folder + 'lspet', **people),
            dict(data_root=folder + 'coco', **people),
            dict(data_root=folder + 'coco_more', **people),
            dict(data_root=folder + 'rendered', **people),
        ],
        # Persons in an epoch: some 5,500 of LSPET, 2,400 of COCO and 1,700 rendered.
        sample_ratio_factor=[1, 4, 4, 0.3],
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(dataset=dict(data_root=folder + 'lspet', pipeline=val_pipeline))
test_dataloader = val_dataloader

val_evaluator = _base_.val_evaluator
val_evaluator[0].ann_file = folder + 'lspet/annotations/person_keypoints_val2017.json'
test_evaluator = val_evaluator
