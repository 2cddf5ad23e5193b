"""Random persons are what a data set hands to its pipeline."""

import numpy as np

from mspn_plugin.benchmark.samples import metainfo, random_persons


def test_any_number_of_keypoints_and_persons_reaches_the_pipeline():
    meta = metainfo(dict(type='CocoWholeBodyDataset'))
    sample = random_persons('x.jpg', meta, 3, np.random.RandomState(0))
    assert sample['keypoints'].shape == (3, 133, 2)
    assert sample['keypoints_visible'].shape == (3, 133)
    assert sample['bbox'].shape == (3, 4)
