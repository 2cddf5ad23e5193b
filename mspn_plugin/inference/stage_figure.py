"""The paper's figure on one's own image: the heatmaps of every stage and unit."""

import io

import cv2
import numpy as np
import torch
from matplotlib.figure import Figure
from mmengine.dataset import pseudo_collate

from ..model.codec import PEAK
from .boxes import Boxes
from .predictor import PosePredictor


def stage_heatmaps(predictor: PosePredictor, image: np.ndarray, boxes: Boxes) -> np.ndarray:
    """Lay the heatmaps of an image's instances over it (uint8 BGR); the estimator is not fused.

    Returns:
        np.ndarray: For each unit, stage by stage and coarsest first, the highest heatmap value of
        any keypoint of any instance at each pixel, (units, height, width), from 0 to 1, where 1 is
        the peak of a target.
    """
    estimator = predictor.estimator
    height, width = image.shape[:2]
    units = estimator.backbone.active_stages * estimator.head.num_units
    laid = np.zeros((units, height, width), np.float32)
    for box in zip(*boxes):
        crop = predictor.crop(image, *box)
        with torch.inference_mode():
            data = estimator.data_preprocessor(pseudo_collate([crop]))
            heatmaps = estimator(data['inputs'], None, mode='tensor')
        sample = crop['data_samples'].metainfo
        scale = np.array(sample['input_scale'])
        for unit, maps in enumerate(heatmaps):
            highest = (maps[0].amax(0) / PEAK).clamp(0, 1).cpu().numpy()
            pixel = scale / highest.shape[::-1]
            corner = sample['input_center'] - 0.5 * scale + 0.5 * pixel - 0.5
            matrix = np.column_stack((np.diag(pixel), corner))
            placed = cv2.warpAffine(highest, matrix, (width, height), flags=cv2.INTER_LINEAR)
            laid[unit] = np.maximum(laid[unit], placed)
    return laid


def draw_stages(predictor: PosePredictor, image: np.ndarray, boxes: Boxes) -> bytes:
    """Draw :func:`stage_heatmaps` as a table, a PNG: a row for each stage, a column for each unit.

    The brightest colour is the highest value of all maps.
    """
    maps = stage_heatmaps(predictor, image, boxes)
    maps /= maps.max() or 1.0
    columns = predictor.estimator.head.num_units
    rows = len(maps) // columns
    height, width = image.shape[:2]
    figure = Figure((3 * columns, (3 * height / width + 0.25) * rows), layout='constrained')
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    for index, heat in enumerate(maps):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.imshow(grey, cmap='gray', vmin=0, vmax=255)
        axes.imshow(heat, cmap='inferno', vmin=0, vmax=1, alpha=0.3 + 0.7 * heat)
        stage, unit = divmod(index, columns)
        axes.set_title(f'stage {stage + 1}, unit {unit + 1}', fontsize=9)
        axes.set_axis_off()
    content = io.BytesIO()
    figure.savefig(content, format='png', dpi=120)
    return content.getvalue()
