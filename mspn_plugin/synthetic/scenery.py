"""What is around rendered people."""

import cv2
import numpy as np

from .canvas import SUPERSAMPLING, Canvas, Colour, Point, box, capsule, circle, mix, palette, shade
from .parts import OBJECT, SIDES
from .person import CLOTH, SKIN
from .skeleton import Figure

SKY = palette('a9cbe8 c8dcea dfe4e6 8fb4d9 e9d9c3 b7c3cf')
GROUND = palette('6f9a55 8aa85c a8a294 b9a583 7d8288 c9b78e')
WALL = palette('d8d2c4 c4cdd3 cfc3b4 b8c4b4 d9c0b4 a9b3bf e2dccb b7a99a')
FLOOR = palette('9a7654 b08d66 7c6a5c 8d8f93 6e7f86 a79c8c')
# What a thing may have; skin and clothing are among them.
ANY = SKIN + CLOTH + palette('5080c0 c0d050 40d0a0 e05090 9050d0 d0a030')


def pick_colour(rng: np.random.Generator, colours: tuple[Colour, ...] = ANY) -> Colour:
    return colours[rng.integers(len(colours))]


def paint_ball(
    canvas: Canvas, centre: Point, radius: float, colour: Colour, part: int | None = None
) -> None:
    canvas.paint(circle(centre, radius), shade(colour, 0.7), part)
    canvas.paint(circle(np.subtract(centre, (0, 0.15 * radius)), 0.8 * radius), colour)


def paint_bar(
    canvas: Canvas, a: Point, b: Point, radius: float, colour: Colour, part: int | None = None
) -> None:
    canvas.paint(capsule(a, b, radius, radius), shade(colour, 0.7), part)
    canvas.paint(capsule(a, b, 0.7 * radius, 0.7 * radius), colour)


def paint_background(canvas: Canvas, rng: np.random.Generator, horizon: float) -> None:
    """Paint a wall or a sky, a floor from the horizon down, and things."""
    w, h = canvas.width, canvas.height
    outdoors = rng.random() < 0.5
    above, below = (SKY, GROUND) if outdoors else (WALL, FLOOR)
    tones = (rng.uniform(0.7, 1.2), rng.uniform(0.9, 1.15), 0.85, rng.uniform(0.9, 1.2))
    # At half the size: all of it is soft.
    rows, half = np.arange(0, h, 2)[:, None], (w // 2, h // 2)
    fade = np.interp(rows, (0, horizon, horizon + 1, h), tones)
    column = np.where(rows < horizon, pick_colour(rng, above), pick_colour(rng, below)) * fade
    blotches = rng.normal(0, rng.uniform(2, 8), (5, 7, 3))
    grain = rng.normal(0, rng.uniform(1, 6), (h // 6, w // 6))
    soft = cv2.resize(blotches, half) + cv2.resize(grain, half)[..., None] + column[:, None]
    cv2.resize(np.clip(soft, 0, 255).astype(np.uint8), canvas.colours.shape[1::-1], canvas.colours)
    (paint_outdoors if outdoors else paint_indoors)(canvas, rng, horizon)
    for _ in range(rng.integers(0, 6)):
        paint_thing(canvas, rng, rng.uniform(horizon, h))
    for _ in range(rng.integers(0, 3)):  # a bent pipe or branch
        start = np.array((rng.uniform(0, w), rng.uniform(0, h)))
        middle, end = start + np.cumsum(rng.normal(0, 28, (2, 2)), 0)
        colour, thick = pick_colour(rng), rng.uniform(2.5, 8)
        paint_bar(canvas, start, middle, thick, colour)
        paint_bar(canvas, middle, end, thick, colour)


def paint_outdoors(canvas: Canvas, rng: np.random.Generator, horizon: float) -> None:
    """Paint houses, trees and lines on the ground."""
    w = canvas.width
    for _ in range(rng.integers(0, 4)):
        x, wide = rng.uniform(-0.1 * w, w), rng.uniform(0.1, 0.35) * w
        top, size = rng.uniform(0.2, 0.9) * horizon, rng.uniform(6, 14)
        wall = pick_colour(rng, WALL)
        canvas.paint(box(x, top, x + wide, horizon + 2), shade(wall, 0.85))
        for wx in np.arange(x + 0.6 * size, x + wide - size, 1.7 * size):
            for wy in np.arange(top + 0.6 * size, horizon - size, 2 * size):
                canvas.paint(box(wx, wy, wx + size, wy + 1.2 * size), shade(wall, 0.55))
    for _ in range(rng.integers(0, 4)):
        foot = np.array((rng.uniform(0, w), horizon + rng.uniform(0, 20)))
        tall, thick = rng.uniform(40, 0.9 * horizon + 41), rng.uniform(3, 8)
        crown = foot - (0, tall)
        canvas.paint(capsule(foot, crown, thick, 0.6 * thick), (50, 72, 98))
        paint_leaves(canvas, rng, crown, 0.17 * tall)
    for _ in range(rng.integers(0, 3)):
        y = rng.uniform(horizon + 4, canvas.height)
        far = (w + 5, y + rng.uniform(-30, 30))
        canvas.paint(capsule((-5, y), far, 1.5, 2.5), (225, 225, 225))


def paint_leaves(
    canvas: Canvas,
    rng: np.random.Generator,
    middle: np.ndarray,
    size: float,
    part: int | None = None,
) -> None:
    """Paint the crown of a tree, or a bush."""
    leaf = (rng.uniform(30, 80), rng.uniform(90, 160), rng.uniform(40, 130))
    for tone in (0.72, 0.8, 0.9, 1.0, 1.1):
        spot = middle + rng.normal(0, 0.8 * size, 2)
        canvas.paint(circle(spot, rng.uniform(0.7, 1.5) * size), shade(leaf, tone), part)


def paint_indoors(canvas: Canvas, rng: np.random.Generator, horizon: float) -> None:
    """Paint a skirting board, floorboards and paintings."""
    w, h = canvas.width, canvas.height
    trim = pick_colour(rng, WALL)
    canvas.paint(box(-1, horizon - 5, w + 1, horizon + 2), shade(trim, 0.9))
    if rng.random() < 0.6:
        board = shade(trim, rng.uniform(0.4, 0.7))
        vanish, gap = rng.uniform(0.2, 0.8) * w, rng.uniform(16, 44)
        for x in np.arange(-w, 2 * w, gap):
            far = ((vanish + x) / 2, horizon + 2)
            canvas.paint(capsule(far, (x, h + 5), 0.4, 1.0), board)
    for _ in range(rng.integers(1, 5)):
        corner = np.array((rng.uniform(0, w), rng.uniform(0, 0.7 * horizon)))
        size = rng.uniform(18, 70, 2)
        canvas.paint(box(*(corner - 3), *(corner + size + 3)), shade(trim, 0.6))
        canvas.paint(box(*corner, *(corner + size)), pick_colour(rng))
        canvas.paint(circle(corner + 0.5 * size, 0.2 * size.min()), pick_colour(rng))


def paint_thing(
    canvas: Canvas, rng: np.random.Generator, ground: float, part: int | None = None
) -> None:
    """Paint something on the ground, much of which a careless eye takes for a limb or a head."""
    h, foot = canvas.height, np.array((rng.uniform(0, canvas.width), ground))
    colour, thick = pick_colour(rng), rng.uniform(2.5, 7)
    kind = rng.integers(6)
    if kind == 0:  # a bush
        paint_leaves(canvas, rng, foot - (0, 15), 12, part)
    elif kind == 1:  # a lamp post or a balloon
        bulb = (foot[0] + rng.uniform(-15, 15), rng.uniform(0.1, 0.5) * h)
        paint_bar(canvas, foot, bulb, rng.uniform(0.1, 0.6) * thick, shade(colour, 0.8), part)
        paint_ball(canvas, bulb, 2 * thick, pick_colour(rng), part)
    elif kind == 2:  # a ball
        paint_ball(canvas, foot - (0, 2 * thick), 2 * thick, colour, part)
    elif kind == 3:  # a bollard or a pole
        paint_bar(canvas, foot, foot - (0, rng.uniform(20, h)), thick, colour, part)
    elif kind == 4:  # a table
        x, wide, top = foot[0], rng.uniform(25, 70), ground - rng.uniform(0.1, 0.24) * h
        canvas.paint(box(x - wide, top, x + wide, ground), shade(colour, 0.7), part)
        canvas.paint(box(x - wide - 3, top - 6, x + wide + 3, top + 2), colour, part)
    else:  # a fence
        x, wide, top = foot[0], rng.uniform(60, 160), ground - rng.uniform(0.12, 0.25) * h
        for rail in (top, top + 16):
            canvas.paint(box(x - wide, rail, x + wide, rail + 4), colour, part)
        for post in np.linspace(x - wide, x + wide, 5):
            canvas.paint(box(post - 2.5, top - 5, post + 2.5, ground), shade(colour, 0.85), part)


def paint_shadow(canvas: Canvas, figure: Figure) -> None:
    """Darken the ground under a person."""
    ankles = [figure.points[f'{side}_ankle'][0] for side, _ in SIDES]
    x, y = figure.origin[0] + np.mean(ankles), figure.box[3] - 0.012 * figure.height
    size = 0.19 * figure.height, 0.042 * figure.height
    top, bottom = (max(0, round(SUPERSAMPLING * (y + side * size[1]))) for side in (-1, 1))
    ground = canvas.colours[top:bottom]
    rows, columns = np.mgrid[top : top + len(ground), : ground.shape[1]] / SUPERSAMPLING
    away = ((columns - x) / size[0]) ** 2 + ((rows - y) / size[1]) ** 2
    ground[:] = ground * (0.55 + 0.45 * away.clip(0, 1))[..., None]


def paint_seat(canvas: Canvas, rng: np.random.Generator, figure: Figure) -> None:
    """Paint a box under a seated person."""
    x, height = figure.origin[0], figure.height
    ground, top = figure.box[3] - 0.02 * height, figure.origin[1] + 0.045 * height
    half, colour = rng.uniform(0.1, 0.2) * height, mix(pick_colour(rng), (60, 70, 90), 0.4)
    canvas.paint(box(x - half, top, x + half, ground), shade(colour, 0.7), OBJECT)
    canvas.paint(box(x - half, top - 0.01 * height, x + half, top + 0.04 * height), colour, OBJECT)


def paint_held(canvas: Canvas, rng: np.random.Generator, figure: Figure) -> None:
    """Paint a ball or a stick in one hand."""
    side, _ = SIDES[rng.integers(2)]
    hand = figure.project(figure.points[f'{side}_hand'])[:2]
    height, colour = figure.height, pick_colour(rng)
    if rng.random() < 0.5:
        paint_ball(canvas, hand, rng.uniform(0.03, 0.08) * height, colour, OBJECT)
    else:
        reach = rng.normal(0, 0.2 * height, 2)
        paint_bar(canvas, hand - 0.15 * reach, hand + reach, 0.008 * height, colour, OBJECT)
