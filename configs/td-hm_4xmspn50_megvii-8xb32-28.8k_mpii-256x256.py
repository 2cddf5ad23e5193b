# MSPN-50, 4 stages, on MPII by the authors' recipe. The paper reports PCKh 92.6 on its test set.
_base_ = ['td-hm_2xmspn50_megvii-8xb32-28.8k_mpii-256x256.py']

num_stages = 4
model = dict(backbone=dict(num_stages=num_stages), head=dict(num_stages=num_stages))
