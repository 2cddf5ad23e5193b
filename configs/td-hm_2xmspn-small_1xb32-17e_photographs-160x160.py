# The last training of the weights that come with the plugin: at a rate that stays up, while the
# weights of all steps of its last ten epochs are averaged (SWA, arXiv 1803.05407).
#
#   make weights
#
# It goes on from the average of the two trainings before, small.pth of DATA_ROOT.
_base_ = ['td-hm_2xmspn-small_1xb32-16e_photographs-160x160.py']

load_from = _base_.folder + 'small.pth'
max_epochs = 17
mild_epochs = 9

train_cfg = dict(max_epochs=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=max_epochs, eta_min=2.5e-4)
custom_hooks = _base_.custom_hooks
custom_hooks[-1].switch_epoch = max_epochs - mild_epochs
custom_hooks = custom_hooks + [
    dict(
        type='EMAHook',
        ema_type='StochasticWeightAverage',
        update_buffers=True,
        begin_epoch=max_epochs - mild_epochs,  # counted from 1: with the epoch before the switch
    ),
]
randomness = dict(seed=1)
