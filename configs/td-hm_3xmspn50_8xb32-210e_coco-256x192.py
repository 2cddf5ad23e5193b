# MSPN-50, 3 stages, on COCO by MMPose's recipe. Its model zoo reports AP 0.758 on val2017.
_base_ = ['mspn_coco.py']

num_stages = 3
model = dict(backbone=dict(num_stages=num_stages), head=dict(num_stages=num_stages))
