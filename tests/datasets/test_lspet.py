"""Leeds Sports Pose Extended: COCO's layout, honest labels, and nothing left of a bad zip."""

import io
import json
import zipfile

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO
from scipy.io import savemat

from mspn_plugin.datasets.lspet import LspetSummary, convert_lspet
from mspn_plugin.errors import SettingError

WIDTH, HEIGHT = 120, 90
LSPET = (
    *('right_ankle', 'right_knee', 'right_hip', 'left_hip', 'left_knee', 'left_ankle'),
    *('right_wrist', 'right_elbow', 'right_shoulder'),
    *('left_shoulder', 'left_elbow', 'left_wrist', 'neck', 'head_top'),
)
FACE = ('nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear')


def photograph(number, quality=95):
    """A JPEG of random patches, the same ones for the same number."""
    patches = np.random.default_rng(number).integers(0, 256, (9, 12, 3), np.uint8)
    pixels = cv2.resize(patches, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
    return cv2.imencode('.jpg', pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def person(**changes):
    """Joints (14, 3), all labelled, row i at (20 + 4 i, 30 + 2 i), but for the changes."""
    joints = np.array([(20 + 4 * i, 30 + 2 * i, 1) for i in range(14)], float)
    for name, joint in changes.items():
        joints[LSPET.index(name)] = joint
    return joints


def mat(joints):
    file = io.BytesIO()
    savemat(file, {'joints': np.stack(joints, 2)})
    return file.getvalue()


def members(persons, photographs=None):
    """What a zip like LSPET's holds, by name."""
    photographs = photographs or [photograph(i) for i in range(len(persons))]
    files = {f'images/im{i:05d}.jpg': content for i, content in enumerate(photographs, 1)}
    return {'README.txt': b'Leeds Sports', 'joints.mat': mat(persons), **files}


@pytest.fixture
def packed(tmp_path):
    """Writes a zip of members, each a file's content."""

    def pack(files):
        path = tmp_path / 'lspet_dataset.zip'
        with zipfile.ZipFile(path, 'w') as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path

    return pack


@pytest.fixture
def converted(packed, tmp_path):
    """Converts persons to tmp_path / 'out', which it returns with the summary."""

    def convert(persons, photographs=None, **settings):
        settings = {'val': 1, **settings}
        out = tmp_path / 'out'
        return out, convert_lspet(packed(members(persons, photographs)), out, **settings)

    return convert


def annotations(out):
    """All persons of both splits by id."""
    return {
        entry['id']: entry
        for split in ('train', 'val')
        for entry in read(out, split)['annotations']
    }


def read(out, split):
    return json.loads((out / f'annotations/person_keypoints_{split}2017.json').read_text())


def joint(entry, out, name):
    index = read(out, 'train')['categories'][0]['keypoints'].index(name)
    return entry['keypoints'][3 * index : 3 * index + 3]


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


def test_layout_and_bytes_of_the_photographs(converted):
    photographs = [photograph(i) for i in range(8)]
    out, summary = converted([person()] * 8, photographs, val=3)
    assert summary == LspetSummary(5, 3, 0, 0, 0)
    assert {path.name for path in out.iterdir()} == {'annotations', 'train2017', 'val2017'}
    ids = set()
    for split, count in (('train', 5), ('val', 3)):
        coco = COCO(out / f'annotations/person_keypoints_{split}2017.json')
        assert len(coco.imgs) == len(coco.anns) == count
        for image in coco.imgs.values():
            assert image['file_name'] == f'im{image["id"]:05d}.jpg'
            assert (image['width'], image['height']) == (WIDTH, HEIGHT)
            assert [a['image_id'] for a in coco.imgToAnns[image['id']]] == [image['id']]
            file = out / f'{split}2017' / image['file_name']
            assert file.read_bytes() == photographs[image['id'] - 1]
        assert len(list((out / f'{split}2017').iterdir())) == count
        ids |= set(coco.imgs)
    assert ids == set(range(1, 9))


def test_keypoints_and_skeleton_are_those_of_mmpose_for_coco(converted):
    from mmpose.datasets.datasets import CocoDataset
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    out, _ = converted([person()] * 2)
    meta = parse_pose_metainfo(CocoDataset.METAINFO)
    (category,) = read(out, 'val')['categories']
    names = [meta['keypoint_id2name'][i] for i in range(17)]
    assert category['keypoints'] == names
    links = [sorted((a - 1, b - 1)) for a, b in category['skeleton']]
    assert sorted(links) == sorted(sorted(link) for link in meta['skeleton_links'])


def test_each_limb_joint_is_the_one_of_its_name_and_the_face_is_not_labelled(converted):
    out, _ = converted([person()] * 2)
    entry = annotations(out)[1]
    for row, name in enumerate(LSPET[:12]):
        assert joint(entry, out, name) == [20 + 4 * row, 30 + 2 * row, 2]
    for name in FACE:
        assert joint(entry, out, name) == [0, 0, 0]
    assert entry['num_keypoints'] == 12


def test_joints_without_a_mark_are_not_labelled_wherever_they_are(converted):
    out, summary = converted([person(left_knee=(-40, np.nan, 0)), person()])
    entry = annotations(out)[1]
    assert joint(entry, out, 'left_knee') == [0, 0, 0]
    assert entry['num_keypoints'] == 11
    assert summary.dropped_labels == 0


def test_box_is_the_padded_extent_of_the_labelled_joints_within_the_photograph(converted):
    inner = person(neck=(10, 20, 1), head_top=(90, 60, 1))
    at_corner = person(right_ankle=(2, 3, 1), head_top=(102, 53, 1))
    at_edges = person(right_ankle=(40, 30, 1), head_top=(119, 89, 1))
    out, _ = converted([inner, at_corner, at_edges])
    boxes = {number: entry['bbox'] for number, entry in annotations(out).items()}
    assert boxes[1] == [2, 12, 96, 56]
    assert boxes[2] == [0, 0, 112, 64]  # the joints end at (102, 54)
    assert boxes[3][0] + boxes[3][2] == WIDTH and boxes[3][1] + boxes[3][3] == HEIGHT
    for entry in annotations(out).values():
        assert entry['area'] == pytest.approx(0.53 * entry['bbox'][2] * entry['bbox'][3], abs=0.01)


@pytest.mark.parametrize('place', [(-0.5, 40), (50, -1), (WIDTH, 40), (50, HEIGHT)])
def test_labels_outside_the_photograph_are_dropped_and_counted(converted, place):
    marked = person(left_wrist=(*place, 1))
    out, summary = converted([marked, person()])
    entry = annotations(out)[1]
    assert summary.dropped_labels == 1
    assert joint(entry, out, 'left_wrist') == [0, 0, 0]
    assert entry['num_keypoints'] == 11
    assert entry['bbox'] == annotations(out)[2]['bbox']


def test_persons_with_fewer_than_six_labelled_joints_are_left_out(converted):
    six, five = person(), person()
    six[:8, 2] = five[:9, 2] = 0
    once_six = six.copy()
    once_six[LSPET.index('head_top'), 0] = -3
    out, summary = converted([six, five, once_six, person()])
    assert summary == LspetSummary(train=1, val=1, left_out=2, dropped_labels=1, duplicate_pairs=0)
    assert set(annotations(out)) == {1, 4}
    assert {path.name for path in out.rglob('*.jpg')} == {'im00001.jpg', 'im00004.jpg'}
    assert annotations(out)[1]['num_keypoints'] == 4


def test_the_same_seed_gives_the_same_files_and_another_one_another_split(packed, tmp_path):
    source = packed(members([person()] * 12))
    folders = [tmp_path / name for name in ('one', 'again', 'other')]
    for folder, seed in zip(folders, (4, 4, 5)):
        convert_lspet(source, folder, val=4, seed=seed)
    one, again, other = map(contents, folders)
    assert one == again
    assert one.keys() != other.keys()


@pytest.mark.parametrize('seed', range(6))
def test_near_duplicates_are_on_one_side(converted, seed):
    photographs = [photograph(i // 3, quality=95 - 20 * (i % 3)) for i in range(12)]
    out, summary = converted([person()] * 12, photographs, val=3, seed=seed)
    assert summary == LspetSummary(9, 3, 0, 0, duplicate_pairs=12)
    held_out = {(entry['id'] - 1) // 3 for entry in read(out, 'val')['annotations']}
    assert len(held_out) == 1


def test_a_number_that_would_part_near_duplicates_is_refused(converted, tmp_path):
    photographs = [photograph(i // 2, quality=95 - 20 * (i % 2)) for i in range(8)]
    with pytest.raises(SettingError, match='val is 3, and near-duplicate'):
        converted([person()] * 8, photographs, val=3)
    assert not (tmp_path / 'out').exists()


def damaged_inside(files, name):
    """A zip in which one byte of a member is another."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        for member, content in files.items():
            archive.writestr(member, content)
    content = bytearray(file.getvalue())
    content[content.index(files[name]) + len(files[name]) // 2] ^= 255
    return bytes(content)


def bad_zips():
    good = members([person()] * 3)
    first = 'images/im00001.jpg'

    def but(**changes):
        return {**good, **{first if name == 'photo' else name: c for name, c in changes.items()}}

    def joints(content):
        return {**good, 'joints.mat': content}

    without = {name: content for name, content in good.items() if name != 'joints.mat'}
    renamed = {name.replace('im0', 'im'): content for name, content in good.items()}
    file = io.BytesIO()
    savemat(file, {'other': np.zeros((14, 3, 3))})
    yield 'path above', {**good, 'images/../../escaped.jpg': b''}, 'leave the target'
    yield 'path of Windows', {**good, '..\\escaped.jpg': b''}, 'leave the target'
    yield 'absolute path', {**good, '/tmp/escaped.jpg': b''}, 'leave the target'
    yield 'not a zip', b'no zip', 'zip cannot be read'
    yield 'another zip', {'a.txt': b'a'}, 'joints.mat cannot be read'
    yield 'names of LSP', renamed, '3 photographs, and there are 3'
    yield 'no joints', without, 'joints.mat cannot be read'
    yield 'fewer images', members([person()] * 4, [photograph(i) for i in range(3)]), '4 photo'
    yield 'more images', members([person()] * 2, [photograph(i) for i in range(3)]), '2 photo'
    yield 'no MATLAB file', joints(b'no joints'), 'joints.mat cannot be read'
    yield 'cut MATLAB file', joints(good['joints.mat'][:300]), 'joints.mat cannot be read'
    yield 'other variable', joints(file.getvalue()), 'joints.mat cannot be read'
    yield 'shape of LSP', joints(mat([person().T] * 3)), r'\(14, 3, N\)'
    yield 'cut photograph', but(photo=good[first][:-400]), 'im00001.jpg cannot'
    yield 'no photograph', but(photo=b'text'), 'im00001.jpg cannot'
    yield (
        'other format',
        but(photo=cv2.imencode('.png', np.zeros((9, 9)))[1].tobytes()),
        'cannot be read',
    )
    yield 'damaged photograph', damaged_inside(good, 'images/im00002.jpg'), 'im00002.jpg cannot'
    yield 'damaged joints', damaged_inside(good, 'joints.mat'), 'joints.mat cannot be read'


@pytest.mark.parametrize(
    ('files', 'message'), [pytest.param(*case[1:], id=case[0]) for case in bad_zips()]
)
@pytest.mark.parametrize('exists', [False, True], ids=['new folder', 'empty folder'])
def test_a_bad_zip_is_one_message_and_leaves_nothing(packed, tmp_path, files, message, exists):
    if isinstance(files, bytes):
        source = tmp_path / 'lspet_dataset.zip'
        source.write_bytes(files)
    else:
        source = packed(files)
    out = tmp_path / 'out'
    if exists:
        out.mkdir()
    before = set(tmp_path.rglob('*'))
    with pytest.raises(SettingError, match=message) as raised:
        convert_lspet(source, out, val=1)
    assert str(source) in str(raised.value)
    assert set(tmp_path.rglob('*')) == before


def test_a_missing_zip_and_a_folder_are_one_message(tmp_path):
    for source in (tmp_path / 'missing.zip', tmp_path):
        with pytest.raises(SettingError, match='cannot be read'):
            convert_lspet(source, tmp_path / 'out')
    assert not any(tmp_path.iterdir())


def test_a_target_with_content_is_left_as_it_is(packed, tmp_path):
    source = packed(members([person()] * 3))
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full/notes.txt').write_text('mine')
    (tmp_path / 'file').write_text('mine')
    before = contents(tmp_path)
    for name in ('full', 'file'):
        with pytest.raises(SettingError, match=f'{name} is a file or not empty'):
            convert_lspet(source, tmp_path / name, val=1)
    assert contents(tmp_path) == before


def test_an_empty_target_is_filled_and_a_nested_one_made(packed, tmp_path):
    source = packed(members([person()] * 3))
    (tmp_path / 'empty').mkdir()
    for name in ('empty', 'some/where'):
        convert_lspet(source, tmp_path / name, val=1)
        parts = {path.name for path in (tmp_path / name).iterdir()}
        assert parts == {'annotations', 'train2017', 'val2017'}


def test_an_interrupt_leaves_nothing(packed, tmp_path, monkeypatch):
    source = packed(members([person()] * 3))
    write = type(tmp_path).write_bytes

    def interrupted(path, content):
        if path.name == 'im00002.jpg':
            raise KeyboardInterrupt
        return write(path, content)

    monkeypatch.setattr(type(tmp_path), 'write_bytes', interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert_lspet(source, tmp_path / 'out', val=1)
    assert set(tmp_path.iterdir()) == {source}


def test_a_number_for_validation_that_leaves_none_for_training_is_refused(converted, tmp_path):
    with pytest.raises(SettingError, match='val is 3'):
        converted([person()] * 3, val=3)
    assert not (tmp_path / 'out').exists()


def test_the_command_converts_and_says_what_it_did(packed, mspn, tmp_path):
    few_labels = person()
    few_labels[:9, 2] = 0
    outside = person(left_wrist=(-1, 40, 1))
    photographs = [photograph(0), photograph(0, quality=75), *map(photograph, range(1, 6))]
    source = packed(members([person()] * 5 + [few_labels, outside], photographs))
    ended = mspn('convert', 'lspet', source, '--out', tmp_path / 'out', '--val', 2, '--seed', 1)
    assert ended.exit_code == 0, ended.stderr
    assert ended.stdout == (
        f'{tmp_path / "out"}: 4 persons for training and 2 for validation; '
        '1 left out with too few labels, 1 labels outside of their photograph dropped, '
        '1 pairs of near duplicates kept together\n'
    )
    convert_lspet(source, tmp_path / 'same', val=2, seed=1)
    assert contents(tmp_path / 'out') == contents(tmp_path / 'same')


@pytest.mark.parametrize('option', ['--val=0', '--seed=-1'])
def test_the_command_refuses_numbers_out_of_range(packed, mspn, tmp_path, option):
    source = packed(members([person()] * 3))
    ended = mspn('convert', 'lspet', source, '--out', tmp_path / 'out', option)
    assert ended.exit_code == 2
    assert 'is not in the range' in ended.stderr


def test_the_command_ends_with_one_message_for_what_is_no_zip(mspn, tmp_path):
    ended = mspn('convert', 'lspet', tmp_path / 'missing.zip', '--out', tmp_path / 'out')
    assert ended.exit_code == 2
    assert ended.stderr.startswith(f'Error: {tmp_path / "missing.zip"} cannot be read')
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_the_public_set(shared_data, tmp_path):
    """Counts on the first 6,000 photographs, and MMPose reads all of them."""
    from mmpose.datasets.datasets import CocoDataset

    source = shared_data / 'lspet/lspet_dataset.zip'
    if not source.is_file():
        pytest.skip(f'no LSPET at {source}')
    out = tmp_path / 'lspet'
    summary = convert_lspet(source, out)
    assert summary[:4] == (5495, 500, 5, 4)
    assert 50 <= summary.duplicate_pairs <= 70
    for split, count in (('train', 5495), ('val', 500)):
        dataset = CocoDataset(
            data_root=str(out),
            ann_file=f'annotations/person_keypoints_{split}2017.json',
            data_prefix=dict(img=f'{split}2017/'),
        )
        assert len(dataset) == len(list((out / f'{split}2017').iterdir())) == count
        assert all(dataset.get_data_info(i)['keypoints_visible'].sum() >= 3 for i in range(count))
