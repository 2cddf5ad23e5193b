# MSPN-50, 1 stage, on COCO by the authors' recipe. Their release reports AP 71.5 on val2017.
_base_ = ['_base_/megvii_8xb32-96k.py']

num_stages = 1
model = dict(backbone=dict(num_stages=num_stages), head=dict(num_stages=num_stages))
