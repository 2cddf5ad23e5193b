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


def pick_colour(rng: np.random.Generator) -> Colour:
    """Any colour that a thing may have, those of skin and clothing among them."""
    colours = (SKIN, CLOTH, None)[rng.integers(3)]
    return _one_of(rng, colours) if colours else tuple(rng.uniform(30, 225, 3))


def _one_of(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
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
    upper, lower = (
        np.array(_one_of(rng, colours)) * rng.uniform(0.9, 1.15) for colours in (above, below)
    )
    rows = np.arange(0, h, 2)
    tones = (rng.uniform(0.75, 1.1), 1, 0.85, rng.uniform(0.9, 1.15))
    fade = np.interp(rows, (0, horizon, horizon + 1, h), tones)
    column = np.where(rows[:, None] < horizon, upper, lower) * fade[:, None]
    # At half the size: all of it is soft.
    size = (w // 2, len(rows))
    blotches = rng.normal(0, rng.uniform(1, 8), (5, 7, 1)) + rng.normal(0, 2.5, (5, 7, 3))
    grain = rng.standard_normal((h // 6, w // 6), np.float32) * np.float32(rng.uniform(1, 6))
    soft = cv2.resize(blotches, size, interpolation=cv2.INTER_CUBIC)
    soft = soft + cv2.resize(grain, size)[..., None] + column[:, None]
    cv2.resize(np.clip(soft, 0, 255).astype(np.uint8), canvas.colours.shape[1::-1], canvas.colours)
    (paint_outdoors if outdoors else paint_indoors)(canvas, rng, horizon)
    for _ in range(rng.integers(0, 6)):
        paint_clutter(canvas, rng, horizon)


def paint_outdoors(canvas: Canvas, rng: np.random.Generator, horizon: float) -> None:
    """Paint hills, houses, trees and lines on the ground."""
    w = canvas.width
    if rng.random() < 0.5:
        green = _one_of(rng, GROUND)
        for tone in (0.95, 0.8):
            x, wide, tall = rng.uniform(0, w), rng.uniform(0.5, 1.2) * w, rng.uniform(20, 70)
            hill = circle(np.zeros(2), 1.0) * (wide, tall) + (x, horizon)
            canvas.paint(np.minimum(hill, (np.inf, horizon)), shade(green, tone))
    for _ in range(rng.integers(0, 4)):
        x, wide = rng.uniform(-0.1 * w, w), rng.uniform(0.1, 0.35) * w
        top = rng.uniform(0.2, 0.9) * horizon
        wall = _one_of(rng, WALL)
        canvas.paint(box(x, top, x + wide, horizon + 2), shade(wall, 0.85))
        size = rng.uniform(6, 14)
        for wx in np.arange(x + 0.6 * size, x + wide - size, 1.7 * size):
            for wy in np.arange(top + 0.6 * size, horizon - size, 2 * size):
                canvas.paint(box(wx, wy, wx + size, wy + 1.2 * size), shade(wall, 0.55))
    for _ in range(rng.integers(0, 4)):
        foot = np.array((rng.uniform(0, w), horizon + rng.uniform(0, 20)))
        tall, thick = rng.uniform(40, 0.9 * horizon + 41), rng.uniform(3, 8)
        crown = foot + (rng.uniform(-8, 8), -tall)
        canvas.paint(capsule(foot, crown, thick, 0.6 * thick), (50, 72, 98))
        leaf = (rng.uniform(30, 80), rng.uniform(90, 160), rng.uniform(40, 130))
        for tone in (0.72, 0.8, 0.9, 1.0, 1.1):
            spot = crown + rng.normal(0, 0.14 * tall, 2) - (0, 12 * tone)
            canvas.paint(circle(spot, rng.uniform(0.12, 0.26) * tall), shade(leaf, tone))
    for _ in range(rng.integers(0, 3)):
        y = rng.uniform(horizon + 4, canvas.height)
        far = (w + 5.0, y + rng.uniform(-30, 30))
        canvas.paint(capsule((-5.0, y), far, 1.5, 2.5), (225, 225, 225))


def paint_indoors(canvas: Canvas, rng: np.random.Generator, horizon: float) -> None:
    """Paint a skirting board, pictures, floorboards and a sideboard."""
    w, h = canvas.width, canvas.height
    trim = _one_of(rng, WALL)
    canvas.paint(box(-1, horizon - 5, w + 1, horizon + 2), shade(trim, 0.9))
    if rng.random() < 0.6:
        board = tuple(canvas.colours[-1, 0] * float(rng.uniform(0.75, 1.15)))
        vanish, gap = rng.uniform(0.2, 0.8) * w, rng.uniform(16, 44)
        for x in np.arange(-w, 2 * w, gap):
            far = ((vanish + x) / 2, horizon + 2)
            canvas.paint(capsule(far, (x, h + 5.0), 0.4, 1.0), board)
    for _ in range(rng.integers(1, 5)):
        corner = np.array((rng.uniform(0, w), rng.uniform(0, 0.7 * horizon)))
        size = rng.uniform(18, 70, 2)
        canvas.paint(box(*(corner - 3), *(corner + size + 3)), shade(trim, 0.6))
        canvas.paint(box(*corner, *(corner + size)), pick_colour(rng))
        for _ in range(rng.integers(0, 3)):
            place = corner + rng.uniform(0.25, 0.75, 2) * size
            canvas.paint(circle(place, rng.uniform(0.1, 0.22) * size.min()), pick_colour(rng))
    if rng.random() < 0.5:
        x, wide = rng.uniform(-20, w), rng.uniform(50, 130)
        top, colour = horizon - rng.uniform(20, 60), pick_colour(rng)
        canvas.paint(box(x, top, x + wide, horizon + 25), shade(colour, 0.7))
        canvas.paint(box(x - 3, top - 5, x + wide + 3, top + 3), colour)
        for _ in range(rng.integers(0, 4)):
            radius = rng.uniform(5, 9)
            spot = (x + rng.uniform(0, wide), top - 5 - radius)
            paint_ball(canvas, spot, radius, pick_colour(rng))


def paint_clutter(canvas: Canvas, rng: np.random.Generator, horizon: float) -> None:
    """Paint something that a careless eye takes for a limb or a head."""
    w, h = canvas.width, canvas.height
    foot = np.array((rng.uniform(0, w), rng.uniform(horizon, h)))
    high = np.array((rng.uniform(0, w), rng.uniform(0.08, 0.7) * h))
    colour, thick = pick_colour(rng), rng.uniform(2.5, 8)
    kind = rng.integers(5)
    if kind == 0:  # a bent pipe or branch
        point = high
        for _ in range(rng.integers(2, 4)):
            angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(18, 55)
            end = point + length * np.array((np.cos(angle), np.sin(angle)))
            paint_bar(canvas, point, end, thick, colour)
            point = end
    elif kind == 1:  # a lamp post
        top = (foot[0], rng.uniform(0.1, 0.5) * h)
        paint_bar(canvas, foot, top, 0.5 * thick, shade(colour, 0.8))
        paint_ball(canvas, top, 2 * thick, pick_colour(rng))
    elif kind == 2:  # a balloon
        string = high + (rng.uniform(-15, 15), rng.uniform(50, 110))
        canvas.paint(capsule(high, string, 0.5, 0.5), (70, 70, 70))
        paint_ball(canvas, high, 2.4 * thick, colour)
    elif kind == 3:  # a ball
        paint_ball(canvas, foot, 2 * thick, colour)
    else:  # a bollard
        paint_bar(canvas, foot, foot - (0, rng.uniform(20, 60)), 1.5 * thick, colour)


def paint_shadow(canvas: Canvas, figure: Figure) -> None:
    """Darken the ground under a person."""
    left, right = (figure.points[f'{side}_ankle'] for side, _ in SIDES)
    x = figure.origin[0] + 0.5 * (left[0] + right[0])
    centre = np.array((x, figure.box[3] - 0.012 * figure.height)) * SUPERSAMPLING
    size = np.array((0.19, 0.042)) * (figure.height * SUPERSAMPLING)
    limits = canvas.parts.shape[::-1]
    x1, y1 = np.clip(centre - size, 0, limits).astype(int)
    x2, y2 = np.clip(centre + size, 0, limits).astype(int)
    rows, columns = np.ogrid[y1:y2, x1:x2]
    away = ((columns - centre[0]) / size[0]) ** 2 + ((rows - centre[1]) / size[1]) ** 2
    ground = canvas.colours[y1:y2, x1:x2]
    ground[:] = ground * (1 - 0.45 * np.clip(1.2 - 1.2 * away, 0, 1))[..., None]


def paint_seat(canvas: Canvas, rng: np.random.Generator, figure: Figure) -> None:
    """Paint a box or a stool under a seated person."""
    x, y = figure.origin[:2]
    height = figure.height
    ground, top = figure.box[3] - 0.02 * height, y + 0.055 * height
    half, colour = rng.uniform(0.1, 0.2) * height, mix(pick_colour(rng), (60, 70, 90), 0.4)
    if rng.random() < 0.5:
        canvas.paint(box(x - half, top, x + half, ground), shade(colour, 0.7), OBJECT)
    else:
        for side in (-1, 1):
            high, low = (x + 0.8 * side * half, top), (x + 0.9 * side * half, ground)
            leg = capsule(high, low, 0.014 * height, 0.012 * height)
            canvas.paint(leg, shade(colour, 0.6), OBJECT)
    seat = box(x - 1.05 * half, top - 0.02 * height, x + 1.05 * half, top + 0.035 * height)
    canvas.paint(seat, colour, OBJECT)


def paint_held(canvas: Canvas, rng: np.random.Generator, figure: Figure) -> None:
    """Paint a ball, a bag, a stick or a phone in one hand."""
    side, _ = SIDES[rng.integers(2)]
    hand = figure.project(figure.points[f'{side}_hand'])[:2]
    height, colour = figure.height, pick_colour(rng)
    kind = rng.integers(4)
    if kind == 0:
        radius = rng.uniform(0.03, 0.06) * height
        paint_ball(canvas, hand - (0, 0.4 * radius), radius, colour, OBJECT)
    elif kind == 1:
        wide, tall = rng.uniform(0.05, 0.08) * height, rng.uniform(0.08, 0.13) * height
        top = hand[1] + 0.035 * height
        canvas.paint(capsule(hand, hand + (0, 0.04 * height), 1, 1), shade(colour, 0.6), OBJECT)
        canvas.paint(box(hand[0] - wide, top, hand[0] + wide, top + tall), colour, OBJECT)
    elif kind == 2:
        angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.35) * height
        reach = np.array((np.cos(angle), np.sin(angle))) * length
        paint_bar(canvas, hand - 0.15 * reach, hand + reach, 0.008 * height, colour, OBJECT)
    else:
        wide, tall = 0.018 * height, 0.035 * height
        phone = box(hand[0] - wide, hand[1] - tall, hand[0] + wide, hand[1] + 0.4 * tall)
        canvas.paint(phone, (45, 42, 40), OBJECT)


def paint_obstacle(canvas: Canvas, rng: np.random.Generator, ground: float) -> None:
    """Paint something that stands before the people painted so far."""
    x, h = rng.uniform(0, canvas.width), canvas.height
    colour = mix(pick_colour(rng), (110, 120, 130), 0.3)
    kind = rng.integers(5)
    if kind == 0:  # a pole
        paint_bar(canvas, (x, ground), (x, -20), rng.uniform(2.5, 6), colour, OBJECT)
    elif kind == 1:  # a table
        wide, top = rng.uniform(25, 70), ground - rng.uniform(0.1, 0.24) * h
        canvas.paint(box(x - wide, top, x + wide, ground + 2), shade(colour, 0.75), OBJECT)
        canvas.paint(box(x - wide - 3, top - 6, x + wide + 3, top + 2), colour, OBJECT)
    elif kind == 2:  # a bush
        for tone in np.linspace(0.7, 1.15, 9):
            place = np.array((x, ground - 4 - 8 * tone)) + rng.normal(0, 1, 2) * (16, 10)
            canvas.paint(circle(place, rng.uniform(7, 14)), shade((60, 130, 80), tone), OBJECT)
    elif kind == 3:  # a ball
        radius = rng.uniform(10, 22)
        paint_ball(canvas, (x, ground - radius), radius, colour, OBJECT)
    else:  # a fence
        top, wide = ground - rng.uniform(0.12, 0.25) * h, rng.uniform(60, 160)
        for rail in (0, 16):
            canvas.paint(box(x - wide, top + rail, x + wide, top + rail + 4), colour, OBJECT)
        for post in np.linspace(x - wide, x + wide, 5):
            canvas.paint(box(post - 2.5, top - 5, post + 2.5, ground), shade(colour, 0.85), OBJECT)
