"""Who is rendered: proportions, pose and clothing, drawn at random.

Lengths are parts of the standing height.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np

from .canvas import Colour, palette

SKIN = palette('f6d3be eec4aa e6b494 daa07a cc8c64 b27652 986242 7a4c34 603c2a 4c3024')
HAIR = palette('1a1616 30241e 4e3422 744c2e b07846 dcb878 a84e2e 989696 d0cece')
CLOTH = palette(
    'c8343c 2c5cb4 388a48 e8b034 ececec 36363a 804896 40a0b0 d87454 84b0c8 3c3c78 '
    '969696 d28cbe 806040 aabe78 782424'
)
LEATHER = palette('221e1e 583422 e6e6e6 a02c2c 285096 5e5a5a')


@dataclass(frozen=True)
class Body:
    """Proportions; ``height`` in pixels, all else as parts of it."""

    height: float
    head: float = 0.116
    trunk: float = 0.27
    shoulder: float = 0.12
    hip: float = 0.066
    upper_arm: float = 0.158
    forearm: float = 0.146
    thigh: float = 0.215
    shin: float = 0.212
    foot: float = 0.105
    girth: float = 1.18

    @classmethod
    def sample(cls, rng: np.random.Generator, height: float) -> Body:
        usual = astuple(cls(height))[1:]
        varied = np.multiply(usual, rng.uniform(0.92, 1.08, len(usual)))
        varied[-1] *= rng.uniform(0.9, 1.15)
        return cls(height, *varied.tolist())


# Ranges of both ends in degrees. Arms: abduction and flexion at the shoulder, flexion of the elbow,
# how far the forearm folds inward rather than forward, and (no angle) how far it folds upward.
Ranges = tuple[tuple[float, float], ...]

ARMS: dict[str, Ranges] = {
    'hanging': ((8, 24), (-12, 14), (3, 30), (0, 50), (0, 0)),
    'on hip': ((36, 52), (-28, -8), (85, 110), (70, 92), (0, 0)),
    'folded': ((2, 14), (14, 34), (88, 108), (60, 84), (0, 0.1)),
    'in pocket': ((14, 26), (-16, -2), (30, 52), (50, 80), (0, 0)),
    'behind': ((10, 26), (-44, -24), (25, 70), (95, 120), (0, 0)),
    'reaching': ((0, 30), (55, 105), (0, 50), (0, 50), (0, 0.6)),
    'offering': ((2, 22), (5, 40), (55, 100), (-20, 40), (0, 0.3)),
    'raised': ((5, 45), (140, 178), (0, 60), (0, 90), (0, 0)),
    'waving': ((65, 110), (0, 30), (45, 115), (0, 20), (1.5, 3)),
    'sideways': ((60, 105), (-10, 15), (0, 25), (0, 40), (0, 1)),
    'to face': ((5, 35), (40, 72), (112, 140), (25, 50), (0.3, 0.8)),
    'swung forward': ((2, 16), (15, 48), (15, 95), (0, 40), (0, 0.2)),
    'swung back': ((4, 20), (-52, -15), (8, 80), (0, 30), (0, 0)),
}

# Legs: abduction and flexion at the hip, flexion of the knee, toes outward, toes down.
LEGS: dict[str, Ranges] = {
    'straight': ((0, 8), (-5, 7), (0, 10), (0, 25), (0, 0)),
    'relaxed': ((4, 16), (4, 22), (10, 34), (5, 35), (0, 8)),
    'astride': ((12, 28), (-4, 8), (0, 8), (5, 35), (0, 0)),
    'step ahead': ((0, 6), (14, 34), (2, 24), (0, 12), (-18, 4)),
    'step behind': ((0, 6), (-26, -8), (8, 44), (0, 12), (0, 20)),
    'knee up': ((0, 10), (42, 88), (55, 110), (0, 15), (0, 20)),
    'heel up': ((0, 8), (-28, 0), (35, 95), (0, 10), (10, 35)),
    'seated': ((2, 18), (72, 94), (65, 102), (0, 25), (0, 8)),
    'squatting': ((10, 30), (95, 122), (108, 132), (5, 30), (0, 10)),
    'lunge ahead': ((0, 10), (55, 82), (62, 95), (0, 10), (0, 0)),
    'lunge behind': ((0, 10), (-36, -15), (12, 45), (0, 10), (15, 40)),
    'kneeling': ((0, 10), (-8, 12), (80, 100), (0, 10), (30, 60)),
    'kicking': ((0, 22), (38, 88), (0, 32), (0, 10), (0, 30)),
    'raised aside': ((32, 62), (-6, 20), (0, 30), (0, 20), (10, 40)),
}


@dataclass(frozen=True)
class Stance:
    """What the legs do, what arms go with it and how far the trunk bends forward, in degrees."""

    likelihood: float
    legs: tuple[str, str]
    arms: tuple[str, ...]
    bend: tuple[float, float]
    seated: bool = False


QUIET = (
    *('hanging',) * 5,
    *('on hip', 'on hip', 'folded', 'in pocket', 'behind', 'offering', 'to face'),
)
LIVELY = ('raised', 'waving', 'sideways', 'reaching', 'hanging', 'on hip')
SWINGING = ('swung forward', 'swung back')
STANCES = (
    Stance(6, ('straight', 'straight'), QUIET, (-5, 8)),
    Stance(4, ('straight', 'relaxed'), QUIET + LIVELY, (-5, 10)),
    Stance(4, ('astride', 'astride'), QUIET + LIVELY, (-6, 12)),
    Stance(4, ('step ahead', 'step behind'), SWINGING, (-2, 14)),
    Stance(1, ('knee up', 'heel up'), SWINGING, (6, 22)),
    Stance(2, ('seated', 'seated'), QUIET + ('reaching', 'waving'), (-8, 20), seated=True),
    Stance(0.5, ('squatting', 'squatting'), ('reaching', 'folded', 'offering'), (15, 40)),
    Stance(0.8, ('lunge ahead', 'lunge behind'), LIVELY + SWINGING, (-5, 25)),
    Stance(0.4, ('lunge ahead', 'kneeling'), QUIET + LIVELY, (-5, 20)),
    Stance(0.8, ('straight', 'kicking'), LIVELY + SWINGING, (-15, 10)),
    Stance(0.8, ('straight', 'raised aside'), LIVELY, (-10, 10)),
    Stance(0.7, ('straight', 'straight'), ('reaching', 'hanging', 'offering'), (30, 75)),
    Stance(1.5, ('astride', 'astride'), ('raised', 'sideways', 'waving'), (-5, 10)),
)


@dataclass(frozen=True)
class Pose:
    """Angles in degrees; arms and legs as (left, right), in the order of ``ARMS`` and ``LEGS``."""

    turn: float
    tilt: float
    roll: float
    bend: float
    lean: float
    twist: float
    look: tuple[float, float, float]
    arms: tuple[np.ndarray, np.ndarray]
    legs: tuple[np.ndarray, np.ndarray]
    seated: bool

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Pose:
        weights = np.array([stance.likelihood for stance in STANCES])
        stance = STANCES[rng.choice(len(STANCES), p=weights / weights.sum())]
        names = rng.choice(stance.arms, rng.integers(1, 3))
        arms = [rng.uniform(*np.transpose(ARMS[name])) for name in (names[0], names[-1])]
        legs = [rng.uniform(*np.transpose(LEGS[name])) for name in rng.permutation(stance.legs)]
        bend = rng.uniform(*stance.bend)
        turn = rng.choice(
            (rng.normal(0, 24), rng.normal(180, 20), rng.uniform(0, 360)), p=(0.74, 0.12, 0.14)
        )
        return cls(
            turn=float(turn),
            tilt=rng.uniform(-3, 10),
            roll=rng.normal(0, 3),
            bend=bend,
            lean=rng.normal(0, 5),
            twist=rng.normal(0, 9),
            look=(rng.normal(0, 6), rng.normal(0, 8) - 0.55 * max(bend, 0), rng.normal(0, 12)),
            arms=(arms[0], arms[1]),
            legs=(legs[0], legs[1]),
            seated=stance.seated,
        )


@dataclass(frozen=True)
class Outfit:
    """Clothing, hair and their colours; sleeves and legs as parts of the limb that they cover."""

    skin: Colour
    hair: Colour
    top: Colour
    accent: Colour
    bottom: Colour
    shoe: Colour
    sleeve: float
    trouser: float
    skirt: float
    pattern: str
    front: str
    hair_style: str
    hat: str
    beard: bool
    glasses: bool
    rucksack: bool

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Outfit:
        def pick(colours: tuple[Colour, ...]) -> Colour:
            jitter = rng.uniform(0.85, 1.15) * rng.uniform(0.93, 1.07, 3)
            return tuple(np.clip(np.array(colours[rng.integers(len(colours))]) * jitter, 8, 250))

        def one_of(**likelihoods: float) -> str:
            return str(rng.choice(list(likelihoods), p=list(likelihoods.values())))

        skin = pick(SKIN)
        top = pick(CLOTH)
        lower = one_of(trousers=0.56, shorts=0.24, skirt=0.13, dress=0.07)
        return cls(
            skin=skin,
            hair=pick(HAIR),
            top=top,
            accent=pick(CLOTH),
            bottom=top if lower == 'dress' else pick(CLOTH),
            shoe=pick(LEATHER),
            sleeve=float(rng.choice((0, 0.5, 1, 2), p=(0.08, 0.3, 0.07, 0.55))),
            trouser={'trousers': 1.9, 'shorts': rng.uniform(0.55, 0.95)}.get(lower, 0.0),
            skirt=rng.uniform(0.6, 1.0) if lower in ('skirt', 'dress') else 0.0,
            pattern=one_of(plain=0.42, hoops=0.13, stripes=0.08, dots=0.07, yoke=0.3),
            front=one_of(none=0.35, buttons=0.2, jacket=0.2, badge=0.13, tie=0.12),
            hair_style=one_of(bald=0.1, short=0.46, long=0.22, bun=0.1, tail=0.12),
            hat=one_of(none=0.78, cap=0.14, beanie=0.08),
            beard=rng.random() < 0.08,
            glasses=rng.random() < 0.08,
            rucksack=rng.random() < 0.08,
        )

    @property
    def ears_covered(self) -> bool:
        """Whether hair or a hat covers both ears."""
        return self.hair_style == 'long' or self.hat == 'beanie'
