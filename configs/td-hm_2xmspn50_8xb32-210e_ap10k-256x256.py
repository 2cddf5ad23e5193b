# MSPN-50, 2 stages, on AP-10K: animals of 54 species with 17 joints. The schedule is that of
# mspn_coco.py.
_base_ = ['_base_/input_256x256.py']

dataset_type = 'AP10KDataset'
data_root = '{{$AP10K_ROOT:data/ap10k}}/'
num_keypoints = 17

model = dict(head=dict(out_channels=num_keypoints))
train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/ap10k-train-split1.json',
        data_prefix=dict(img='data/'),
    )
)
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/ap10k-val-split1.json',
        bbox_file=None,
        data_prefix=dict(img='data/'),
    )
)
test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/ap10k-test-split1.json',
        bbox_file=None,
        data_prefix=dict(img='data/'),
    )
)
val_evaluator = dict(ann_file=data_root + 'annotations/ap10k-val-split1.json')
test_evaluator = dict(ann_file=data_root + 'annotations/ap10k-test-split1.json')
