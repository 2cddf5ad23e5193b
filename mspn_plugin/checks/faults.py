"""What can be wrong with a data set: the kinds of faults, and what MMPose makes of each."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

ERROR, WARNING = 'error', 'warning'


class Kind(NamedTuple):
    """A kind of fault.

    Attributes:
        unit (str): What has the fault: ``file``, ``annotation``, ``image`` (an entry of the
            annotation file), ``picture`` (a file), ``detection`` or ``setting``.
        what (str): What is wrong.
        effect (str): What MMPose and COCO's evaluation make of it, and what to do.
        training (str | None): :data:`ERROR` if it would end or spoil training, :data:`WARNING` if
            it is left out or odd, None if it does no harm there.
        evaluation (str | None): The same for validation and test.
    """

    unit: str
    what: str
    effect: str
    training: str | None = ERROR
    evaluation: str | None = ERROR


@dataclass
class Finding:
    """A kind of fault in one data set, and where.

    Attributes:
        kind (Kind): The kind.
        severity (str): :data:`ERROR` or :data:`WARNING`.
        places (list[str]): All that have it, in the order of the file.
    """

    kind: Kind
    severity: str
    places: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        count = len(self.places)
        unit = self.kind.unit if count == 1 else f'{self.kind.unit}s'
        more = f' and {count - SHOWN} more' if count > SHOWN else ''
        return f'{count} {unit}: {self.kind.what} ({", ".join(self.places[:SHOWN])}{more})'


SHOWN = 5
"""How many places are named."""

Found = dict[Kind, list[str]]


def findings(found: Found, training: bool, evaluation: bool) -> list[Finding]:
    """Judge faults by what their data are used for.

    Args:
        found (dict[Kind, list[str]]): Places by kind.
        training (bool): Whether the data are trained on.
        evaluation (bool): Whether they are evaluated on.

    Returns:
        list[Finding]: Errors first; kinds that do no harm are left out.
    """
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


UNREADABLE = Kind(
    'file',
    'it is missing or not what the data set class reads',
    'The data set cannot be loaded.',
)
NOT_AN_OBJECT = Kind(
    'annotation', 'it is no JSON object', 'The data set cannot be loaded; delete the entry.'
)
LACKS_FIELDS = Kind(
    'annotation',
    '`id`, `image_id` or `category_id` is missing or no whole number',
    'The data set cannot be loaded, or the person is lost or ends the evaluation.',
)
DUPLICATE_ID = Kind(
    'annotation',
    'another annotation has the same id',
    'One of the persons is used twice and the other never, in training and evaluation; number '
    'them anew.',
)
UNKNOWN_IMAGE = Kind(
    'annotation',
    '`images` has no entry with its image_id',
    'The person is left out of training and evaluation.',
    WARNING,
    WARNING,
)
UNKNOWN_CATEGORY = Kind(
    'annotation',
    '`categories` has no entry with its category_id',
    'The person is trained on, but not evaluated as a person; AP is wrong.',
    WARNING,
)
BBOX_MISSING = Kind(
    'annotation',
    'it has no `bbox`',
    'The person is not trained on; COCO evaluation ends in a KeyError.',
    WARNING,
)
BBOX_NOT_FINITE = Kind(
    'annotation',
    '`bbox` is not four finite numbers (x, y, width, height)',
    'The crop, the targets or the loss are NaN, or the data set cannot be loaded; mend or delete '
    'the annotation.',
)
BBOX_EMPTY = Kind(
    'annotation',
    '`bbox` has no width or height inside of its picture',
    'The person is not trained on, and with ground-truth boxes counts as missed in evaluation.',
    WARNING,
    WARNING,
)
KEYPOINTS_MISSING = Kind(
    'annotation',
    'it has no keypoints',
    'The annotation is not trained on; COCO evaluation ends in a KeyError.',
    WARNING,
)
KEYPOINTS_MALFORMED = Kind(
    'annotation',
    'its keypoints are not three numbers (x, y, v) for each joint that the data set class declares',
    'The data set cannot be loaded, or training or evaluation ends at this person.',
)
JOINT_NOT_FINITE = Kind(
    'annotation',
    'a labelled joint (v > 0) or a v is NaN or infinite',
    'Targets and loss are NaN or training ends at this person; set v = 0 for a joint without a '
    'position.',
)
BLANK_JOINT_NOT_FINITE = Kind(
    'annotation',
    'a joint with v = 0 is NaN or infinite',
    'It is read as not labelled; 0, 0, 0 is the usual form.',
    WARNING,
    WARNING,
)
JOINT_AT_ZERO = Kind(
    'annotation',
    'a labelled joint (v > 0) lies at exactly (0, 0)',
    "It is trained and evaluated as a joint in the picture's corner; set v = 0 if it means not "
    'labelled.',
    WARNING,
    WARNING,
)
JOINT_OUTSIDE = Kind(
    'annotation',
    'a labelled joint (v > 0) lies outside of its picture',
    'It is trained where the crop reaches it, and evaluated.',
    WARNING,
    WARNING,
)
STRANGE_VISIBILITY = Kind(
    'annotation',
    'a v is not 0, 1 or 2',
    'Above 0 it counts as labelled, below as not labelled.',
    WARNING,
    WARNING,
)
WRONG_COUNT = Kind(
    'annotation',
    'num_keypoints and the joints with v > 0 do not agree whether any is labelled',
    'With num_keypoints = 0 the person is not trained on; otherwise it is, even without a joint.',
    WARNING,
    WARNING,
)
AREA_MISSING = Kind(
    'annotation',
    '`area` is missing or no number',
    'COCO evaluation ends in an error; MMPose itself uses 0.53 of the box where it is missing.',
    None,
)
AREA_NOT_POSITIVE = Kind(
    'annotation',
    '`area` of a person is not above 0',
    'OKS divides by it, so that every pose of this person is right or none; AP is wrong.',
    None,
)
CROWD_MALFORMED = Kind(
    'annotation', '`iscrowd` is neither 0 nor 1', 'COCO evaluation ends in an error.', WARNING
)
IMAGE_MALFORMED = Kind(
    'image',
    'its id is no whole number, or file_name, width or height is missing or not positive',
    'The data set cannot be loaded, or boxes are cut to nothing.',
)
DUPLICATE_IMAGE = Kind(
    'image',
    'another image has the same id',
    'The persons of both are looked for in one picture; persons of the other are trained on it.',
)
REPEATED_IMAGE = Kind(
    'image', 'the same entry stands there twice', 'The first is used.', WARNING, WARNING
)
NO_PERSON = Kind(
    'file',
    'no annotation can be used',
    'A data set for training or ground-truth boxes needs persons with a box, `keypoints` and a '
    'labelled joint (person_keypoints_*.json, not instances_*.json).',
)
NO_CATEGORIES = Kind('file', 'it has no `categories`', 'COCO evaluation ends in a KeyError.', None)
DETECTION_MALFORMED = Kind(
    'detection',
    'image_id, category_id, score or bbox is missing or not finite',
    'The data set cannot be loaded, or poses and AP are wrong.',
)
DETECTION_UNKNOWN = Kind(
    'detection', 'the annotations have no such image_id', 'The data set cannot be loaded.'
)
DETECTION_EMPTY = Kind(
    'detection',
    '`bbox` has no width or height',
    'A crop of no size is predicted; delete the entry.',
    WARNING,
    WARNING,
)
NO_DETECTION = Kind(
    'file', 'it has no detections of category 1 (person)', 'The data set cannot be loaded.'
)
PICTURE_MISSING = Kind('picture', 'there is no such file', 'The run ends when it is reached.')
PICTURE_BROKEN = Kind(
    'picture',
    'it is no picture that can be read whole (truncated, empty, or of another format)',
    'The run ends when it is reached, or with OpenCV 4 it is filled up with grey; restore the file '
    'or delete its annotations.',
)
PICTURE_DAMAGED = Kind(
    'picture',
    'its data are damaged',
    'A part of it is read wrong, and nothing stops; restore the file.',
    WARNING,
    WARNING,
)
PICTURE_RESIZED = Kind(
    'picture',
    'it has another size than the annotations say',
    'Joints and boxes are of another picture, or of the picture before it was resized or turned; '
    'training goes on with wrong targets.',
)
PICTURE_TURNED = Kind(
    'picture',
    'EXIF says to turn or mirror it, and its size does not show if the annotations mean it so',
    'LoadImage turns it; look at it with `mspn tools browse_dataset`, or save the pictures '
    'without EXIF orientation.',
    WARNING,
    WARNING,
)
PICTURE_DARK = Kind(
    'picture',
    'it is of one colour or nearly black',
    'It is read so; 16-bit pictures are read by their upper 8 bits.',
    WARNING,
    WARNING,
)
PICTURE_ALPHA = Kind(
    'picture',
    'it has transparent parts',
    'Transparency is dropped, and the colours below it are seen.',
    WARNING,
    WARNING,
)
SETTING = Kind('setting', 'settings do not fit', 'The run is stopped before its first step.')
