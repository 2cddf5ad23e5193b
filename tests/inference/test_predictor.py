"""Images and boxes in, poses out."""

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mspn_plugin import SettingError
from mspn_plugin.inference.boxes import whole_image
from mspn_plugin.inference.fused import fuse
from mspn_plugin.inference.images import read_image
from mspn_plugin.inference.predictor import PosePredictor, load_estimator


def test_a_checkpoint_of_another_network_is_refused(network, tmp_path):
    strange = tmp_path / 'strange.pth'
    torch.save({'state_dict': {'backbone.conv1.weight': torch.zeros(1)}}, strange)
    with pytest.raises(SettingError, match=r'of another network.*missing.*not known'):
        load_estimator(network[1], strange)
    more = {**torch.load(network[3], weights_only=True)['state_dict'], 'head.x': torch.zeros(1)}
    torch.save({'state_dict': more}, strange)
    with pytest.raises(SettingError, match=r'(?s)does not fit the config.*head\.x'):
        load_estimator(network[1], strange)
    with pytest.raises(SettingError, match='no checkpoint'):
        load_estimator(network[1], tmp_path / 'none.pth')
    strange.write_bytes(b'rubbish')
    with pytest.raises(SettingError, match='cannot be read as a checkpoint'):
        load_estimator(network[1], strange)


@pytest.mark.parametrize(
    'spoil, said',
    [
        (lambda cfg: cfg.pop('test_dataloader'), 'and no `test_dataloader`'),
        (lambda cfg: cfg.model.update(type='BottomupPoseEstimator'), 'a BottomupPoseEstimator'),
    ],
)
def test_a_config_that_predicts_by_no_box_is_refused(network, spoil, said):
    cfg = Config.fromfile(network[1])
    spoil(cfg)
    with pytest.raises(SettingError, match=said):
        load_estimator(cfg, network[3])


def test_instances_of_many_images_come_back_in_order(trained, images_and_boxes):
    image = read_image(images_and_boxes[0] / '000000000003.png')
    one, none = whole_image(160, 120), whole_image(160, 120)
    none = none._replace(corners=none.corners[:0], scores=none.scores[:0])
    predictor = PosePredictor(trained, batch_size=2)
    given = [(0, image, none), (1, image, one), (2, image, none), (3, image[::-1], one)]
    found = list(predictor.stream(given))
    assert [key for key, _ in found] == [0, 1, 2, 3]
    assert [len(poses.keypoints) for _, poses in found] == [0, 1, 0, 1]
    assert np.allclose(found[1][1].keypoints, predictor(image, one).keypoints, atol=0.05)


def test_mmposes_inferencer_takes_config_checkpoint_and_fused_model(network, images_and_boxes):
    from mmpose.apis import MMPoseInferencer

    inferencer = MMPoseInferencer(
        pose2d=network[1], pose2d_weights=network[3], det_model='whole_image', device='cpu'
    )
    image = str(images_and_boxes[0] / '000000000003.png')
    before = next(inferencer(image))['predictions'][0][0]['keypoints']
    inferencer.inferencer.model = fuse(inferencer.inferencer.model)
    after = next(inferencer(image))['predictions'][0][0]['keypoints']
    assert np.abs(np.array(before) - after).max() < 0.05
