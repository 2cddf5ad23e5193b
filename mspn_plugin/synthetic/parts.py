"""The parts of a rendered body, and which of them show a keypoint."""

SIDES = (('left', 1.0), ('right', -1.0))
PARTS = ('torso', 'pelvis', 'skirt', 'neck', 'head', 'hair', 'hat', 'rucksack') + tuple(
    f'{side}_{part}'
    for side, _ in SIDES
    for part in ('upper_arm', 'forearm', 'hand', 'thigh', 'shin', 'foot')
)
FACE = ('nose', 'eye', 'ear')
TRUNK = ('torso', 'pelvis', 'skirt')
# The parts that show a keypoint rather than hide it.
OWNERS = {
    **dict.fromkeys(FACE, ('head',)),
    'shoulder': ('torso', '{}_upper_arm'),
    'elbow': ('{}_upper_arm', '{}_forearm'),
    'wrist': ('{}_forearm', '{}_hand'),
    'hip': ('torso', 'pelvis', 'skirt', '{}_thigh'),
    'knee': ('skirt', '{}_thigh', '{}_shin'),
    'ankle': ('{}_shin', '{}_foot'),
}

# Numbers in the map of parts: 0 is the background, person p begins at 1 + p * len(PARTS).
CROWD, OBJECT = 250, 255
