"""Heatmaps are laid over the image where the keypoints are."""

from mspn_plugin import load_estimator
from mspn_plugin.inference.boxes import BoxFile
from mspn_plugin.inference.images import read_image
from mspn_plugin.inference.predictor import PosePredictor
from mspn_plugin.inference.stage_figure import stage_heatmaps
from mspn_plugin.weights.shipped import shipped_network


def test_the_last_map_is_high_at_the_sure_keypoints_and_low_elsewhere(rendered):
    predictor = PosePredictor(load_estimator(*shipped_network()))
    file = sorted((rendered / 'val2017').iterdir())[0]
    image = read_image(file)
    height, width = image.shape[:2]
    boxes = BoxFile(rendered / 'annotations' / 'person_keypoints_val2017.json')
    found = boxes.boxes_of(file, width, height)
    poses = predictor(image, found)
    maps = stage_heatmaps(predictor, image, found)
    x, y = poses.keypoints[poses.scores > 1].round().astype(int).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    assert len(maps) == 8 and inside.any()
    assert maps[-1][y[inside], x[inside]].mean() > 0.4 > 0.2 > maps[-1].mean()
