# MSPN-50, 1 stage, on COCO by MMPose's recipe. Its model zoo reports AP 0.723 on val2017.
_base_ = ['mspn_coco.py']

num_stages = 1
model = dict(backbone=dict(num_stages=num_stages), head=dict(num_stages=num_stages))
