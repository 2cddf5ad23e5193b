# MSPN-50, 2 stages, on COCO by the authors' recipe. Their release reports AP 74.5 on val2017.
_base_ = ['_base_/megvii_8xb32-96k.py']
