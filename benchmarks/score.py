"""Score keypoint results against COCO annotations: AP and PCK with intervals, a sheet, calibration.

    mspn predict IMAGES --boxes ANNOTATIONS.json --out OUT --no-pictures
    python benchmarks/score.py ANNOTATIONS.json OUT/keypoints.json \
        [--sheet SHEET.png --every 40] [--calibration SHARES.png]

AP is COCO's, with the area that the annotations give. PCK is the share of labelled keypoints that
lie within a part of the longer side of the person's box. The intervals are those of 1,000 bootstrap
samples of the images (2.5% to 97.5%). The sheet shows every Nth person as a figure on blank ground,
because photographs may not be published.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

PCK_THRESHOLDS = (0.1, 0.2)
SAMPLES = 1000


def evaluated(annotations: COCO, results: list[dict[str, Any]]) -> COCOeval:
    """Match results to persons, as COCO's evaluation does."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(annotations, annotations.loadRes(results), 'keypoints')
        evaluation.params.areaRng = evaluation.params.areaRng[:1]
        evaluation.params.areaRngLbl = evaluation.params.areaRngLbl[:1]
        evaluation.evaluate()
    return evaluation


def average_precision(evaluation: COCOeval, images: np.ndarray) -> np.ndarray:
    """AP and AP at an OKS of 0.5 over images, which may stand several times, (2,)."""
    sample = copy.copy(evaluation)
    sample.evalImgs = [evaluation.evalImgs[index] for index in images]
    sample.params = copy.copy(evaluation.params)
    sample.params.imgIds = list(range(len(images)))
    sample._paramsEval = sample.params
    with contextlib.redirect_stdout(io.StringIO()):
        sample.accumulate()
    precision = sample.eval['precision'][:, :, 0, 0, 0]
    return np.array(
        [p[p > -1].mean() if (p > -1).any() else np.nan for p in (precision, precision[0])]
    )


def distances(annotations: COCO, results: list[dict[str, Any]]) -> list[dict[str, np.ndarray]]:
    """Per image the errors of the labelled keypoints of all persons, and the keypoints' scores.

    Results are matched to annotations by their boxes, which they were predicted from. A person
    without a result has errors that are infinite.

    Returns:
        list[dict]: ``errors``, in parts of the longer side of the box, and ``scores``, both (n,).
    """
    found: dict[int, list[dict[str, Any]]] = {}
    for result in results:
        found.setdefault(result['image_id'], []).append(result)
    per_image = []
    for image_id in annotations.getImgIds():
        errors, scores = [np.zeros(0)], [np.zeros(0)]
        for person in annotations.loadAnns(annotations.getAnnIds(image_id, iscrowd=False)):
            truth = np.array(person['keypoints'], float).reshape(-1, 3)
            labelled = truth[:, 2] > 0
            result = of_box(found.get(image_id, []), person['bbox'])
            if result is None:
                errors.append(np.full(labelled.sum(), np.inf))
                scores.append(np.zeros(labelled.sum()))
                continue
            given = np.array(result['keypoints']).reshape(-1, 3)
            away = np.linalg.norm(given[:, :2] - truth[:, :2], axis=1) / max(person['bbox'][2:])
            errors.append(away[labelled])
            scores.append(given[labelled, 2])
        per_image.append(dict(errors=np.concatenate(errors), scores=np.concatenate(scores)))
    return per_image


def of_box(results: list[dict[str, Any]], bbox: list[float]) -> dict[str, Any] | None:
    """The result that was predicted from a box; clipping may have moved its sides a little."""
    near = [r for r in results if np.abs(np.subtract(r['bbox'], bbox)).max() < 2]
    return min(near, key=lambda r: np.abs(np.subtract(r['bbox'], bbox)).max(), default=None)


def bootstrap(measure: Callable[[np.ndarray], np.ndarray], count: int) -> np.ndarray:
    """A measure over bootstrap samples of images, which are the same for the same count."""
    rng = np.random.default_rng(0)
    return np.array([measure(rng.integers(0, count, count)) for _ in range(SAMPLES)])


def interval(values: np.ndarray) -> np.ndarray:
    """The 2.5% and 97.5% quantiles of bootstrap samples."""
    return np.nanquantile(values, [0.025, 0.975], axis=0)


def share_within(per_image: list[dict[str, np.ndarray]], images: np.ndarray) -> np.ndarray:
    """PCK over images, of which some may stand several times, for each threshold."""
    errors = np.concatenate([per_image[index]['errors'] for index in images])
    return np.array([(errors <= t).mean() if len(errors) else np.nan for t in PCK_THRESHOLDS])


def score(annotation_file: Path, result_file: Path) -> dict[str, Any]:
    """Score a file of results.

    Args:
        annotation_file (Path): COCO annotations.
        result_file (Path): COCO keypoint results of ``mspn predict --boxes ANNOTATIONS``.

    Returns:
        dict: ``persons`` with labelled keypoints; ``AP``, ``AP50`` and ``PCK@T`` for each of
        :data:`PCK_THRESHOLDS`, each ``(value, low, high)``.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        annotations = COCO(str(annotation_file))
    results = json.loads(result_file.read_text())
    evaluation = evaluated(annotations, results)
    per_image = distances(annotations, results)
    count = len(per_image)

    rows = {}
    for names, measure in (
        (('AP', 'AP50'), lambda images: average_precision(evaluation, images)),
        (
            [f'PCK@{t}' for t in PCK_THRESHOLDS],
            lambda images: share_within(per_image, images),
        ),
    ):
        low, high = interval(bootstrap(measure, count))
        for name, *values in zip(names, measure(np.arange(count)), low, high, strict=True):
            rows[name] = tuple(round(float(value), 4) for value in values)
    persons = sum(a['num_keypoints'] > 0 for a in annotations.loadAnns(annotations.getAnnIds()))
    return dict(persons=persons, **rows)


def draw_sheet(annotation_file: Path, result_file: Path, every: int, target: Path) -> None:
    """Draw every Nth person: what was found in colours, what is labelled in grey."""
    content = json.loads(annotation_file.read_text())
    skeleton = np.array(content['categories'][0]['skeleton']) - 1
    results = json.loads(result_file.read_text())
    labelled = [a for a in content['annotations'] if a['num_keypoints'] > 0]
    persons = labelled[min(every, len(labelled)) - 1 :: every]
    columns = min(6, len(persons))
    rows = -(-len(persons) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(2 * columns, 2.3 * rows), squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, person in zip(axes.flat, persons, strict=False):
        truth = np.array(person['keypoints'], float).reshape(-1, 3)
        result = of_box([r for r in results if r['image_id'] == person['image_id']], person['bbox'])
        given = np.array(result['keypoints']).reshape(-1, 3) if result else truth * 0
        x, y, width, height = person['bbox']
        axis.set(xlim=(x - 5, x + width + 5), ylim=(y + height + 5, y - 5), aspect='equal')
        axis.set_title(f'image {person["image_id"]}', fontsize=8)
        for a, b in skeleton:
            if truth[a, 2] and truth[b, 2]:
                axis.plot(*truth[[a, b], :2].T, color='0.7', linewidth=5, solid_capstyle='round')
                colour = 'tab:blue' if a % 2 and b % 2 else 'tab:red'
                colour = 'tab:green' if a % 2 != b % 2 else colour
                axis.plot(*given[[a, b], :2].T, color=colour, linewidth=1.5)
    figure.tight_layout()
    figure.savefig(target, dpi=110)
    plt.close(figure)


def calibration(annotation_file: Path, result_file: Path) -> list[tuple[float, float, int]]:
    """How far scores can be believed: keypoints by their score, in steps of a tenth.

    Returns:
        list[tuple]: For each step with keypoints their mean score, the share that lies within a
        tenth of the box, and their number.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        annotations = COCO(str(annotation_file))
    per_image = distances(annotations, json.loads(result_file.read_text()))
    scores = np.concatenate([image['scores'] for image in per_image])
    is_near = np.concatenate([image['errors'] for image in per_image]) <= PCK_THRESHOLDS[0]
    steps = np.floor(scores * 10)
    return [
        (
            float(scores[steps == s].mean()),
            float(is_near[steps == s].mean()),
            int((steps == s).sum()),
        )
        for s in np.unique(steps)
    ]


def draw_calibration(rows: list[tuple[float, float, int]], target: Path) -> None:
    """Draw the share of near keypoints over the score, and how many keypoints have that score."""
    scores, shares, counts = zip(*rows, strict=True)
    figure, (share_axis, count_axis) = plt.subplots(
        2, 1, figsize=(5, 5), sharex=True, height_ratios=(3, 1)
    )
    share_axis.plot(scores, shares, 'o-')
    share_axis.set(ylabel='within 0.1 of the box', ylim=(0, 1))
    count_axis.bar(scores, counts, width=0.08)
    count_axis.set(xlabel='score', ylabel='keypoints')
    share_axis.grid(True)
    figure.tight_layout()
    figure.savefig(target, dpi=110)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').split('\n')[0])
    parser.add_argument('annotations', type=Path, metavar='ANNOTATIONS')
    parser.add_argument('results', type=Path, metavar='RESULTS')
    parser.add_argument('--sheet', type=Path, metavar='PNG', help='draw every Nth person')
    parser.add_argument('--every', type=int, default=40, metavar='N')
    parser.add_argument('--calibration', type=Path, metavar='PNG', help='draw shares by score')
    options = parser.parse_args(arguments)
    if not json.loads(options.results.read_text()):
        parser.error(f'{options.results} holds no poses')
    scores = score(options.annotations, options.results)
    print(json.dumps(scores))
    if options.sheet:
        draw_sheet(options.annotations, options.results, options.every, options.sheet)
    if options.calibration:
        rows = calibration(options.annotations, options.results)
        draw_calibration(rows, options.calibration)
        for row in rows:
            print('| {:.2f} | {:.2f} | {} |'.format(*row))


if __name__ == '__main__':
    main()
