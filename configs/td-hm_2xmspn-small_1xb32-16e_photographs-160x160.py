# A further training of the weights that come with the plugin: shorter, at a lower rate, and without
# OHKM, which was worse on LSPET in the ablations (docs/ablations.md).
#
#   make weights
#
# It goes on from where the second run of the 46 epochs has come to, in small_again/ of DATA_ROOT.
_base_ = ['td-hm_2xmspn-small_1xb32-46e_photographs-160x160.py']

load_from = _base_.folder + 'small_again/epoch_46.pth'
max_epochs = 16

train_cfg = dict(max_epochs=max_epochs, val_interval=4)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = _base_.param_scheduler
param_scheduler[1].end = max_epochs
model = dict(head=dict(final_loss=dict(type='JointMSELoss')))
custom_hooks = _base_.custom_hooks
custom_hooks[-1].switch_epoch = max_epochs - 6
