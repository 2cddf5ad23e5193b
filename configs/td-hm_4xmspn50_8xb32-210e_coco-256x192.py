# MSPN-50, 4 stages, on COCO by MMPose's recipe. Its model zoo reports AP 0.765 on val2017.
_base_ = ['mspn_coco.py']

num_stages = 4
model = dict(backbone=dict(num_stages=num_stages), head=dict(num_stages=num_stages))
