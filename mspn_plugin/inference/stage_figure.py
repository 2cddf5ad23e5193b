"""The paper's figure on one's own picture: the heatmaps of every stage and unit."""

import io
from typing import Any

import cv2
import numpy as np
import torch
from matplotlib.figure import Figure
from mmengine.dataset import pseudo_collate

from .boxes import Boxes
from .predictor import PosePredictor

PEAK = 255.0


class StageHeatmaps:
    """Shows what each unit of each stage sees in a picture, from coarse to fine.

    Args:
        estimator (nn.Module): From
            :func:`~mspn_plugin.inference.predictor.load_estimator`, not fused.
        stages (int, optional): Show this many stages. Defaults to all.
    """

    def __init__(self, estimator: Any, stages: int | None = None) -> None:
        self.estimator: Any = estimator
        if stages is not None:
            self.estimator.backbone.active_stages = stages
        self.predictor = PosePredictor(estimator)

    def maps(self, picture: np.ndarray, boxes: Boxes) -> list[np.ndarray]:
        """Lay the persons' heatmaps over the picture.

        Args:
            picture (np.ndarray): uint8 BGR, (height, width, 3).
            boxes (Boxes): The persons.

        Returns:
            list[np.ndarray]: For each unit, stage by stage and coarsest first, the highest heatmap
            value of any joint of any person at each pixel, (height, width), from 0 to 1, where 1
            is the peak of a target.
        """
        height, width = picture.shape[:2]
        head = self.estimator.head
        units = self.estimator.backbone.active_stages * head.num_units
        laid = [np.zeros((height, width), np.float32) for _ in range(units)]
        for corners, score in zip(boxes.corners, boxes.scores):
            crop = self.predictor.crop(picture, corners, score)
            with torch.inference_mode():
                data = self.estimator.data_preprocessor(pseudo_collate([crop]))
                heatmaps = self.estimator(data['inputs'], None, mode='tensor')
            sample = crop['data_samples'].metainfo
            for unit, maps in enumerate(heatmaps):
                seen = (maps[0].amax(0) / PEAK).clamp(0, 1).cpu().numpy()
                pixels = np.array(sample['input_scale']) / seen.shape[::-1]
                corner = sample['input_center'] - 0.5 * np.array(sample['input_scale'])
                move = corner + 0.5 * pixels - 0.5
                matrix = np.array([[pixels[0], 0, move[0]], [0, pixels[1], move[1]]], np.float64)
                placed = cv2.warpAffine(seen, matrix, (width, height), flags=cv2.INTER_LINEAR)
                laid[unit] = np.maximum(laid[unit], placed)
        return laid

    def figure(self, picture: np.ndarray, boxes: Boxes) -> bytes:
        """Draw the maps as a table: a row for each stage, a column for each unit.

        The brightest colour is the highest value of all maps.

        Args:
            picture (np.ndarray): uint8 BGR, (height, width, 3).
            boxes (Boxes): The persons.

        Returns:
            bytes: A PNG file.
        """
        columns = self.estimator.head.num_units
        maps = self.maps(picture, boxes)
        rows = len(maps) // columns
        height, width = picture.shape[:2]
        panel = (3.0, 3.0 * height / width)
        figure = Figure(
            figsize=(panel[0] * columns, (panel[1] + 0.25) * rows), layout='constrained'
        )
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        highest = max(float(heat.max()) for heat in maps) or 1.0
        for index, heat in enumerate(maps):
            heat = heat / highest
            axes = figure.add_subplot(rows, columns, index + 1)
            axes.imshow(grey, cmap='gray', vmin=0, vmax=255)
            axes.imshow(heat, cmap='inferno', vmin=0, vmax=1, alpha=0.3 + 0.7 * heat)
            stage, unit = divmod(index, columns)
            axes.set_title(f'stage {stage + 1}, unit {unit + 1}', fontsize=9)
            axes.set_axis_off()
        content = io.BytesIO()
        figure.savefig(content, format='png', dpi=120)
        return content.getvalue()
