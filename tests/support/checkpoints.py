"""Checkpoints that a run, or a stranger, might have left."""

import torch


class RunsCode:
    """Unpickling this calls a function, as a hostile checkpoint would."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def saved_at(path, time, iteration=1):
    """Write a checkpoint that says when it was saved, and give its path."""
    path.parent.mkdir(exist_ok=True)
    meta = {'time': time, 'iter': iteration}
    torch.save({'meta': meta, 'state_dict': {'weight': torch.rand(1000)}}, path)
    return path
