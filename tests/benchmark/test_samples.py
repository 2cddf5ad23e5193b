"""A random person is what a data set hands to its pipeline."""

import numpy as np

from mspn_plugin.benchmark.samples import metainfo, random_person


def test_any_number_of_keypoints_reaches_the_pipeline():
    meta = metainfo(dict(type='CocoWholeBodyDataset'))
    sample = random_person('x.jpg', meta, np.random.RandomState(0))
    assert sample['keypoints'].shape == (1, 133, 2)
    assert sample['keypoints_visible'].shape == (1, 133)
    assert sample['bbox'].shape == (1, 4)
