# MSPN-50, 2 stages, on COCO by MMPose's recipe. Its model zoo reports AP 0.754 on val2017.
_base_ = ['mspn_coco.py']
