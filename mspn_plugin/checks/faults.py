"""What can be wrong with a data set: the kinds of faults, and what MMPose makes of each."""

from collections.abc import Iterable
from typing import NamedTuple

from ..errors import first_few

ERROR, WARNING = 'error', 'warning'


class Kind(NamedTuple):
    """A kind of fault: what has it, what is wrong, and how bad it is for training and evaluation.

    :data:`ERROR` would end or spoil a run, :data:`WARNING` loses data or may be wrong, and None
    does no harm.
    """

    unit: str
    text: str
    training: str | None = ERROR
    evaluation: str | None = ERROR


Found = dict[Kind, list[str]]
"""The places by kind of fault, in the order of the file."""


class Finding(NamedTuple):
    """A kind of fault in one data set, how bad it is there, and where it is."""

    kind: Kind
    severity: str
    places: list[str]

    def __str__(self) -> str:
        count = len(self.places)
        unit = self.kind.unit if count == 1 else f'{self.kind.unit}s'.replace('ys', 'ies')
        return f'{count} {unit}: {self.kind.text} ({first_few(self.places, 5)})'


def findings(found: Found, training: bool, evaluation: bool) -> list[Finding]:
    """Judge faults by what their data are used for: errors first, harmless kinds left out."""
    judged = []
    for kind, places in found.items():
        severities = [kind.training] * training + [kind.evaluation] * evaluation
        severity = ERROR if ERROR in severities else WARNING if WARNING in severities else None
        if severity and places:
            judged.append(Finding(kind, severity, places))
    return sorted(judged, key=lambda finding: finding.severity != ERROR)


def errors(judged: Iterable[Finding]) -> list[Finding]:
    """The findings that would end or spoil a run."""
    return [finding for finding in judged if finding.severity == ERROR]


UNREADABLE = Kind('file', 'it is missing or not what the data set class reads')
NO_INSTANCE = Kind(
    'file', 'it has no person with a box, `keypoints` and a labelled one (person_keypoints_*.json)'
)
NO_CATEGORIES = Kind('file', 'it has no `categories`: COCO evaluation ends', None)
NO_DETECTION = Kind('file', 'it has no detection of category 1 (person)')

MALFORMED = Kind(
    'annotation', 'it is no object with whole numbers as `id`, `image_id` and `category_id`'
)
DUPLICATE_ID = Kind(
    'annotation', 'its id stands twice: one of the two is used twice, the other never'
)
UNKNOWN_CATEGORY = Kind(
    'annotation', '`categories` lacks its category_id: AP is wrong', WARNING, ERROR
)
INCOMPLETE = Kind(
    'annotation', '`bbox` or keypoints are missing: COCO evaluation ends', WARNING, ERROR
)
BBOX_NOT_FINITE = Kind('annotation', '`bbox` is not four finite numbers (x, y, width, height)')
KEYPOINTS_MALFORMED = Kind(
    'annotation', 'its keypoints are not x, y, v of each that the data set class declares'
)
KEYPOINT_NOT_FINITE = Kind('annotation', 'a labelled keypoint (v > 0) or a v is NaN or infinite')
KEYPOINT_AT_ZERO = Kind(
    'annotation',
    'a labelled keypoint (v > 0) lies at (0, 0); is it not labelled?',
    WARNING,
    WARNING,
)
LEFT_OUT = Kind(
    'annotation',
    'no image or no part of `bbox` in it, or num_keypoints is 0: the person is not used',
    WARNING,
    WARNING,
)
AREA_NOT_POSITIVE = Kind(
    'annotation', '`area` is not a number above 0: COCO evaluation ends or AP is wrong', None
)
CROWD_MALFORMED = Kind(
    'annotation', '`iscrowd` is neither 0 nor 1: COCO evaluation ends', WARNING, ERROR
)

ENTRY_MALFORMED = Kind('entry', 'id, file_name, width or height is missing or not positive')
DUPLICATE_ENTRY = Kind('entry', 'another image has its id: both have the persons of both')

DETECTION_MALFORMED = Kind(
    'detection', 'image_id, category_id, score or bbox is missing or not finite'
)
DETECTION_UNKNOWN = Kind('detection', 'the annotations lack its image_id')

IMAGE_MISSING = Kind('image', 'there is no such file')
IMAGE_BROKEN = Kind('image', 'it cannot be read whole (truncated, empty, or of another format)')
IMAGE_RESIZED = Kind(
    'image', 'it has another size than annotated, or EXIF turns it: keypoints lie elsewhere'
)

SETTING = Kind('setting', 'settings do not fit')
