"""A rendered image and the labels of its people."""

from dataclasses import dataclass

import cv2
import numpy as np

from ..datasets.coco import KEYPOINTS, SKELETON
from .canvas import SUPERSAMPLING, Canvas, shade
from .head import head
from .limbs import arm, leg
from .parts import CROWD, FACE, OBJECT, OWNERS, PARTS, SIDES, TRUNK
from .person import Body, Outfit, Pose
from .scenery import paint_background, paint_held, paint_seat, paint_shadow, paint_thing
from .skeleton import Figure
from .trunk import trunk

# A person with fewer keypoints in sight is in the annotations without keypoints, as in COCO.
MIN_VISIBLE = 4
SIZES = ((480, 360), (480, 320), (400, 300), (360, 360), (360, 480), (320, 240), (300, 400))


@dataclass
class Person:
    """Labels of one person or one crowd, in pixels of the image."""

    mask: np.ndarray  # booleans (height, width): the pixels that show the person
    keypoints: np.ndarray  # (17, 3) as x, y, v; zeros for a crowd
    is_crowd: bool = False  # people that are not told apart


def random_figure(rng: np.random.Generator, height: float, light: np.ndarray) -> Figure:
    return Figure(Body.sample(rng, height), Pose.sample(rng), Outfit.sample(rng), light)


def place(figure: Figure, rng: np.random.Generator, canvas: Canvas, middle: float) -> None:
    """Stand a person at a part of the image's width; a border may cut it."""
    w, h = canvas.width, canvas.height
    x1, y1, x2, y2 = figure.box
    x = middle * w - (x1 + x2) / 2
    # At a larger scale the feet are nearer, hence lower.
    farther = max(0.62 - figure.height / h, 0) * rng.uniform(0.2, 0.7)
    lowest = max(h * (rng.uniform(0.86, 0.985) - farther), y2 - y1 + 3)
    if rng.random() < 0.1:
        lowest = h + rng.uniform(0.05, 0.4) * (y2 - y1)
    else:
        x = np.clip(x, -x1, w - x2)
    figure.move(x, lowest - y2)


def paint_figure(canvas: Canvas, figure: Figure, first: int) -> None:
    """Paint a person from far to near; ``first`` is the number of the first of ``PARTS``."""
    strokes = trunk(figure) + head(figure)
    for side, _ in SIDES:
        strokes += arm(figure, side) + leg(figure, side)
    for stroke in sorted(strokes, key=lambda stroke: stroke.depth):
        # Less light reaches what is far behind.
        dim = 1 + 0.9 * min(max(stroke.depth / figure.height, -0.2), 0)
        for outline, colour in stroke.outlines:
            canvas.paint(outline, shade(colour, dim), first + PARTS.index(stroke.part))


def label(figure: Figure, first: int, parts: np.ndarray) -> np.ndarray:
    """Keypoints (17, 3) of a person, whose parts count from ``first``, from the finished image's.

    ``parts`` holds the numbers of the parts that its pixels show, (height, width).
    """
    height, width = parts.shape
    keypoints = np.zeros((len(KEYPOINTS), 3))
    for i, (name, (x, y, _)) in enumerate(zip(KEYPOINTS, figure.keypoints, strict=True)):
        side, _, kind = name.rpartition('_')
        inside = 0 <= x <= width - 1 and 0 <= y <= height - 1
        if not inside or (kind in FACE and not figure.facing[name]):
            continue
        owners = [owner.format(side) for owner in OWNERS[kind]]
        # The trunk shows the keypoints of its near side only; an arm or leg shows its own.
        if not figure.facing.get(name, True):
            owners = [owner for owner in owners if owner not in TRUNK]
        if kind == 'ear' and figure.outfit.ears_covered:
            owners = []
        visible = int(parts[round(y), round(x)]) - first in map(PARTS.index, owners)
        keypoints[i] = x, y, 2 if visible else 1
    # A hidden keypoint is labelled where a neighbour in sight says about where it is.
    seen = keypoints[:, 2] == 2
    told = {i for a, b in SKELETON for i in (a, b) if seen[a] or seen[b]}
    keypoints[[i not in told for i in range(len(KEYPOINTS))]] = 0
    return keypoints


def render_scene(rng: np.random.Generator) -> tuple[np.ndarray, list[Person]]:
    """Draw a scene at random and paint it: an image as of ``render_image``, and its labels."""
    canvas = Canvas(*SIZES[rng.integers(len(SIZES))])
    h = canvas.height
    horizon = h * rng.uniform(0.35, 0.7)
    light = np.array((rng.choice((-1, 1)) * rng.uniform(0.3, 1), -rng.uniform(0.5, 1)))
    paint_background(canvas, rng, horizon)
    if rng.random() < 0.1:
        paint_crowd(canvas, rng, horizon, light)

    figures = []
    count = min(rng.choice(4, p=(0.4, 0.33, 0.17, 0.1)) + 1, canvas.width // 110)
    for index in range(count):
        figure = random_figure(rng, np.clip(h * rng.uniform(0.42, 0.9), 105, 300), light)
        place(figure, rng, canvas, (index + rng.uniform(0.25, 0.75)) / count)
        figures.append(figure)
    figures.sort(key=lambda figure: figure.box[3])
    for i, figure in enumerate(figures):
        paint_shadow(canvas, figure)
        if figure.pose.seated:
            paint_seat(canvas, rng, figure)
        paint_figure(canvas, figure, 1 + i * len(PARTS))
        if rng.random() < 0.12:
            paint_held(canvas, rng, figure)
        if rng.random() < 0.1:
            paint_thing(canvas, rng, figure.box[3] + rng.uniform(0, 10), OBJECT)

    # Every second row and column of the map, those nearest to the labels' pixel centres.
    parts = canvas.parts[::SUPERSAMPLING, ::SUPERSAMPLING]
    persons = []
    for i, figure in enumerate(figures):
        first = 1 + i * len(PARTS)
        mask = (parts >= first) & (parts < first + len(PARTS))
        if not mask.any():
            continue
        keypoints = label(figure, first, parts)
        if np.count_nonzero(keypoints[:, 2] == 2) < MIN_VISIBLE:
            keypoints[:] = 0
        persons.append(Person(mask, keypoints))
    crowd = parts == CROWD
    if np.count_nonzero(crowd) > 100:
        persons.append(Person(crowd, np.zeros((len(KEYPOINTS), 3)), is_crowd=True))
    return develop(canvas, rng), persons


def paint_crowd(
    canvas: Canvas, rng: np.random.Generator, horizon: float, light: np.ndarray
) -> None:
    """Paint a group of small people far away, too many to be labelled one by one."""
    middle, size = rng.uniform(0.15, 0.85) * canvas.width, rng.uniform(36, 56)
    for foot in np.sort(horizon + rng.uniform(2, 14, rng.integers(6, 12))):
        figure = random_figure(rng, size * rng.uniform(0.85, 1.1), light)
        figure.move(middle + rng.normal(0, 0.7 * size), foot - figure.box[3])
        paint_figure(canvas, figure, 1)
    canvas.parts[canvas.parts > 0] = CROWD


def develop(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """The image at its own size, with uneven light, a colour cast, blur and noise."""
    w, h = canvas.width, canvas.height
    image = cv2.resize(canvas.colours, (w, h), interpolation=cv2.INTER_AREA)
    blur = rng.uniform(-0.6, 0.8)
    if blur > 0.3:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    cast = rng.uniform(0.88, 1.14) * rng.uniform(0.95, 1.05, 3)
    gain = (rng.uniform(0.84, 1.12, (3, 4, 1)) * cast).astype(np.float32)
    noise = rng.standard_normal((h, w), np.float32) * np.float32(rng.uniform(0, 5))
    bright = cv2.multiply(image, cv2.resize(gain, (w, h)), dtype=cv2.CV_32F)
    return cv2.add(bright, cv2.merge((noise, noise, noise)), dtype=cv2.CV_8U)
