"""Faults of data, model and checkpoint are found before a run, and named by their ids."""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from PIL import Image

from mspn_plugin import config_path
from mspn_plugin.checks import faults
from mspn_plugin.checks.annotations import examine
from mspn_plugin.checks.faults import ERROR, WARNING, findings
from mspn_plugin.checks.report import check, in_words, sources

NAN = float('nan')
TRAIN = 'annotations/person_keypoints_train2017.json'


def joint(x, y, v):
    return lambda person: person['keypoints'].__setitem__(slice(0, 3), [x, y, v])


def having(**fields):
    return lambda person: person.update(fields)


def lacking(field):
    return lambda person: person.pop(field)


# What is done to a copy of a person, and how it is to be judged in training and evaluation.
SPOILED_PERSONS = {
    901: (joint(NAN, 20, 2), faults.JOINT_NOT_FINITE, ERROR, ERROR),
    902: (joint(20, 20, NAN), faults.JOINT_NOT_FINITE, ERROR, ERROR),
    903: (joint(NAN, NAN, 0), faults.BLANK_JOINT_NOT_FINITE, WARNING, WARNING),
    904: (joint(None, None, 0), faults.KEYPOINTS_MALFORMED, ERROR, ERROR),
    905: (having(keypoints=[1, 2, 2] * 16), faults.KEYPOINTS_MALFORMED, ERROR, ERROR),
    906: (lacking('keypoints'), faults.KEYPOINTS_MISSING, WARNING, ERROR),
    907: (having(bbox=[NAN, 10, 20, 20]), faults.BBOX_NOT_FINITE, ERROR, ERROR),
    908: (having(bbox=[10, 10, 20]), faults.BBOX_NOT_FINITE, ERROR, ERROR),
    909: (having(bbox=[10, 10, 0, 20]), faults.BBOX_EMPTY, WARNING, WARNING),
    910: (having(bbox=[30, 30, -10, 20]), faults.BBOX_EMPTY, WARNING, WARNING),
    911: (having(bbox=[5000, 10, 20, 20]), faults.BBOX_EMPTY, WARNING, WARNING),
    912: (lacking('bbox'), faults.BBOX_MISSING, WARNING, ERROR),
    913: (joint(0, 0, 1), faults.JOINT_AT_ZERO, WARNING, WARNING),
    914: (joint(-300, 20, 2), faults.JOINT_OUTSIDE, WARNING, WARNING),
    915: (joint(20, 20, 3), faults.STRANGE_VISIBILITY, WARNING, WARNING),
    916: (having(num_keypoints=0), faults.WRONG_COUNT, WARNING, WARNING),
    917: (lacking('area'), faults.AREA_MISSING, None, ERROR),
    918: (having(area=0), faults.AREA_NOT_POSITIVE, None, ERROR),
    919: (having(iscrowd=None), faults.CROWD_MALFORMED, WARNING, ERROR),
    920: (having(image_id=4242), faults.UNKNOWN_IMAGE, WARNING, WARNING),
    921: (having(category_id=7), faults.UNKNOWN_CATEGORY, WARNING, ERROR),
    922: (lacking('category_id'), faults.LACKS_FIELDS, ERROR, ERROR),
}


def as_png(change):
    """Write what ``change`` makes of a Pillow picture as PNG."""
    return lambda image, path: change(image).save(path, 'PNG')


def as_jpeg(**options):
    return lambda image, path: image.save(path, 'JPEG', quality=90, **options)


def cut(image, path):
    image.save(path, 'JPEG')
    path.write_bytes(path.read_bytes()[:-400])


def overwritten(image, path):
    """A JPEG with some bytes of its data replaced."""
    image.save(path, 'JPEG', quality=95)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 100] = bytes(100)
    path.write_bytes(content)


def orientation(number):
    exif = Image.Exif()
    exif[274] = number
    return exif.tobytes()


def sixteen_bits(image, path):
    cv2.imwrite(str(path), np.asarray(image)[:, :, ::-1].astype(np.uint16) * 257)


def half_transparent(image):
    image.putalpha(128)
    return image


SPOILED_PICTURES = {
    'cut.jpg': (cut, faults.PICTURE_BROKEN),
    'empty.jpg': (lambda image, path: path.write_bytes(b''), faults.PICTURE_BROKEN),
    'page.jpg': (lambda image, path: path.write_text('<html>not found'), faults.PICTURE_BROKEN),
    'missing.jpg': (lambda image, path: None, faults.PICTURE_MISSING),
    'overwritten.jpg': (overwritten, faults.PICTURE_DAMAGED),
    'half.jpg': (
        lambda image, path: image.resize((image.width // 2, image.height // 2)).save(path),
        faults.PICTURE_RESIZED,
    ),
    'turned.jpg': (as_jpeg(exif=orientation(6)), faults.PICTURE_RESIZED),
    'mirrored.jpg': (as_jpeg(exif=orientation(2)), faults.PICTURE_TURNED),
    'transparent.png': (as_png(half_transparent), faults.PICTURE_ALPHA),
    'black.png': (as_png(lambda image: image.point(lambda value: 0)), faults.PICTURE_DARK),
}
HARMLESS_PICTURES = {
    'grey.jpg': lambda image, path: image.convert('L').save(path),
    'grey.png': as_png(lambda image: image.convert('L')),
    'sixteen.png': sixteen_bits,
    'cmyk.jpg': lambda image, path: image.convert('CMYK').save(path, 'JPEG', quality=90),
    'palette.png': as_png(lambda image: image.convert('P')),
    'opaque.png': as_png(lambda image: image.convert('RGBA')),
}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


class Data:
    """A copy of the rendered people, to which persons and pictures are added."""

    def __init__(self, rendered, folder):
        self.folder = Path(shutil.copytree(rendered, folder))
        self.content = json.loads((self.folder / TRAIN).read_text())
        self.person = next(
            person
            for person in self.content['annotations']
            if person['num_keypoints'] > 8 and person['keypoints'][2] > 0
        )
        (self.image,) = (
            image for image in self.content['images'] if image['id'] == self.person['image_id']
        )

    def add_person(self, number, change=lambda person: None):
        person = copy.deepcopy({**self.person, 'id': number})
        change(person)
        self.content['annotations'].append(person)

    def add_picture(self, number, name, write):
        with Image.open(self.folder / 'train2017' / self.image['file_name']) as image:
            write(image.convert('RGB'), self.folder / 'train2017' / name)
        self.content['images'].append({**self.image, 'id': number, 'file_name': name})
        self.add_person(number, having(image_id=number))

    def save(self):
        (self.folder / TRAIN).write_text(json.dumps(self.content))
        return self.folder


def config(root, **options):
    """The small config for rendered people, with its data below another folder."""
    cfg = Config.fromfile(config_path('mspn_synthetic'))
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].dataset.data_root = f'{root}/'
    for split in ('val', 'test'):
        cfg[f'{split}_evaluator'].ann_file = f'{root}/annotations/person_keypoints_val2017.json'
    cfg.merge_from_dict(options)
    return cfg


@pytest.fixture(scope='module')
def spoiled_persons(rendered, tmp_path_factory):
    data = Data(rendered, tmp_path_factory.mktemp('persons') / 'coco')
    for number, (change, *_) in SPOILED_PERSONS.items():
        data.add_person(number, change)
    return data


@pytest.fixture(scope='module')
def spoiled_pictures(rendered, tmp_path_factory):
    data = Data(rendered, tmp_path_factory.mktemp('pictures') / 'coco')
    for number, (name, (write, _)) in enumerate(SPOILED_PICTURES.items(), 2000):
        data.add_picture(number, name, write)
    for number, (name, write) in enumerate(HARMLESS_PICTURES.items(), 3000):
        data.add_picture(number, name, write)
    return check(config(data.save()), cost=False)


def found_in(report, setting='train_dataloader.dataset'):
    return {finding.kind: finding for finding in report.findings[setting]}


class TestAnnotations:
    @pytest.mark.parametrize('training', [True, False], ids=['training', 'evaluation'])
    def test_every_fault_is_named_by_its_id_and_judged_by_its_use(self, spoiled_persons, training):
        examined = examine(spoiled_persons.content, 17)
        found = findings(examined.found, training, not training)
        given = {
            (finding.kind, finding.severity, place) for finding in found for place in finding.places
        }
        expected = {
            (kind, in_training if training else in_evaluation, f'id {number}')
            for number, (_, kind, in_training, in_evaluation) in SPOILED_PERSONS.items()
        }
        assert given == {entry for entry in expected if entry[1] is not None}

    def test_ids_that_stand_twice_are_named(self, rendered, tmp_path):
        data = Data(rendered, tmp_path / 'coco')
        data.add_person(data.person['id'])
        data.content['images'].append(dict(data.image))
        data.content['images'].append({**data.content['images'][1], 'file_name': 'other.jpg'})
        found = examine(data.content, 17).found
        assert found[faults.DUPLICATE_ID] == [f'id {data.person["id"]}']
        assert found[faults.REPEATED_IMAGE] == [f'id {data.image["id"]}']
        assert found[faults.DUPLICATE_IMAGE] == [f'id {data.content["images"][1]["id"]}']

    def test_entries_that_are_no_annotations_or_images_are_named_by_their_place(self):
        found = examine({'images': [{'file_name': 'a.jpg'}], 'annotations': [[1], {}]}).found
        assert found[faults.IMAGE_MALFORMED] == ['images[0]']
        assert found[faults.NOT_AN_OBJECT] == ['annotations[0]']
        assert found[faults.LACKS_FIELDS] == ['annotations[1]']
        assert faults.NO_CATEGORIES in found and faults.NO_PERSON in found

    def test_crowds_and_persons_without_joints_are_no_faults(self, rendered, tmp_path):
        data = Data(rendered, tmp_path / 'coco')
        before = examine(data.content, 17)
        data.add_person(901, having(iscrowd=1, keypoints=[0] * 51, num_keypoints=0))
        data.add_person(902, having(keypoints=[0] * 51, num_keypoints=0))
        examined = examine(data.content, 17)
        assert not findings(examined.found, True, True)
        assert examined.crowds == before.crowds + 1 and examined.persons == before.persons

    @pytest.mark.parametrize(
        'file, dataset, joints, with_area',
        [
            ('coco/annotations/person_keypoints_train2017.json', 'CocoDataset', 17, True),
            ('coco_wholebody/test_coco_wholebody.json', 'CocoWholeBodyDataset', 133, True),
            ('crowdpose/test_crowdpose.json', 'CrowdPoseDataset', 14, False),
            ('ap10k/test_ap10k.json', 'AP10KDataset', 17, True),
            ('mpii/test_mpii.json', 'MpiiDataset', 16, True),
        ],
    )
    def test_real_annotations_have_no_faults(self, shared_data, file, dataset, joints, with_area):
        content = json.loads((shared_data / file).read_text())
        examined = examine(content, joints, dataset, with_area)
        assert examined.persons and not findings(examined.found, True, True)

    def test_faults_in_mpiis_format_are_found(self, shared_data):
        content = json.loads((shared_data / 'mpii' / 'test_mpii.json').read_text())
        content[0]['joints'][3][0] = NAN
        content[1]['center'] = [NAN, 1]
        del content[2]['joints_vis']
        found = examine(content, 16).found
        assert found == {
            faults.JOINT_NOT_FINITE: ['[0]'],
            faults.BBOX_NOT_FINITE: ['[1]'],
            faults.KEYPOINTS_MALFORMED: ['[2]'],
        }

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_nothing_that_json_can_hold_ends_the_examination(self, data):
        person = dict(
            id=1,
            image_id=1,
            category_id=1,
            bbox=[1.0, 2.0, 3.0, 4.0],
            keypoints=[1.0, 2.0, 2.0] * 2,
            num_keypoints=2,
            area=5.0,
            iscrowd=0,
        )
        content = {
            'images': [dict(id=1, file_name='a.jpg', width=10, height=10)],
            'annotations': [person, dict(person, id=2)],
            'categories': [dict(id=1)],
        }
        for _ in range(data.draw(st.integers(1, 4))):
            part = data.draw(st.sampled_from(sorted(content)))
            entry = content[part][-1]
            entry[data.draw(st.sampled_from(sorted(entry)))] = data.draw(JSON)
        found = examine(content, 2).found
        assert all(places for places in found.values())


class TestPictures:
    @pytest.mark.parametrize('name', SPOILED_PICTURES)
    def test_every_fault_is_named_by_its_file(self, spoiled_pictures, name):
        _, kind = SPOILED_PICTURES[name]
        reported = [
            kind
            for kind, finding in found_in(spoiled_pictures).items()
            if any(f'/{name}' in place for place in finding.places)
        ]
        assert reported == [kind]

    @pytest.mark.parametrize('name', HARMLESS_PICTURES)
    def test_what_mmpose_reads_rightly_is_no_fault(self, spoiled_pictures, name):
        assert name not in in_words(spoiled_pictures)

    def test_sizes_are_said_as_they_are_and_as_they_should_be(self, spoiled_pictures):
        half, turned = found_in(spoiled_pictures)[faults.PICTURE_RESIZED].places
        assert re.search(r': (\d+)x(\d+) instead of \d+x\d+$', half)
        assert re.search(r': (\d+)x(\d+), turned by EXIF instead of \2x\1$', turned)

    def test_a_loader_that_ignores_exif_turns_nothing(self, rendered, tmp_path):
        data = Data(rendered, tmp_path / 'coco')
        data.add_picture(2000, 'turned.jpg', as_jpeg(exif=orientation(6)))
        pipeline = config(data.save()).train_dataloader.dataset.pipeline
        pipeline[0].color_type = 'color_ignore_orientation'
        options = {'train_dataloader.dataset.pipeline': pipeline}
        assert not check(config(data.folder, **options), cost=False).errors()


class TestConfig:
    def test_a_data_set_of_validation_and_test_is_looked_at_once(self, rendered):
        train, both = sources(config(rendered))
        assert train.settings == ['train_dataloader.dataset'] and train.training
        assert both.settings == ['val_dataloader.dataset', 'test_dataloader.dataset']
        assert both.evaluation and not both.training and both.with_area

    def test_everything_that_does_not_fit_is_said_at_once(self, rendered, tmp_path):
        report = check(
            config(
                rendered,
                **{
                    'model.head.out_channels': 16,
                    'model.head.num_stages': 3,
                    'load_from': str(tmp_path / 'none.pth'),
                    'train_dataloader.dataset.type': 'NoSuchDataset',
                    'val_evaluator.ann_file': str(tmp_path / 'none.json'),
                    'test_evaluator.ann_file': str(tmp_path / 'none.json'),
                },
            ),
            images=False,
            cost=False,
        )
        said = in_words(report)
        assert 'backbone.num_stages is 2 and model.head.num_stages is 3' in said
        assert 'CocoDataset has 17 joints and model.head.out_channels is 16' in said
        assert 'NoSuchDataset' in said
        assert str(tmp_path / 'none.pth') in said and str(tmp_path / 'none.json') in said

    def test_detections_are_looked_at(self, rendered, tmp_path):
        known = json.loads((rendered / TRAIN.replace('train', 'val')).read_text())['images'][0][
            'id'
        ]
        good = {'image_id': known, 'category_id': 1, 'bbox': [1, 2, 30, 40], 'score': 0.5}
        file = tmp_path / 'boxes.json'
        spoiled = [
            good,
            {**good, 'image_id': 4242},
            {**good, 'bbox': [1, NAN, 3, 4]},
            {**good, 'bbox': [1, 2, 0, 4]},
            {**good, 'category_id': 2, 'bbox': None},
        ]
        file.write_text(json.dumps(spoiled))
        options = {f'{split}_dataloader.dataset.bbox_file': str(file) for split in ('val', 'test')}
        report = check(config(rendered, **options), images=False, cost=False)
        found = found_in(report, 'val_dataloader.dataset, test_dataloader.dataset')
        assert found[faults.DETECTION_UNKNOWN].places == ['[1]']
        assert found[faults.DETECTION_MALFORMED].places == ['[2]']
        assert found[faults.DETECTION_EMPTY].places == ['[3]']


class TestCommand:
    def test_clean_data_give_status_0_and_the_cost(self, mspn, rendered, monkeypatch):
        monkeypatch.setenv('COCO_ROOT', str(rendered))
        options = ['train_dataloader.batch_size=4', 'train_dataloader.num_workers=0']
        arguments = ['--seconds', '0', '--workers', '1', '--device', 'cpu']
        arguments += ['--cfg-options', *options]
        ended = mspn('check', config_path('mspn_synthetic'), *arguments)
        said = ended.stdout
        assert ended.exit_code == 0, ended.output
        assert 'GiB for a step of 4 persons on cpu' in said
        assert re.search(r'for \d+ epochs', said) and 'kinds of errors: 0' in said

    @pytest.mark.parametrize(
        'arguments, message',
        [
            (['none.py'], 'there is no config none.py'),
            (['empty.py'], 'has no `model`'),
            (['broken.py'], 'cannot be read as a config'),
            (['empty.py', '--workers', '0'], '0 is not in the range x>=1'),
        ],
    )
    def test_what_cannot_be_checked_gives_status_2(
        self, mspn, arguments, message, tmp_path, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        Path('empty.py').write_text('a = 1\n')
        Path('broken.py').write_text('a = (\n')
        ended = mspn('check', *arguments)
        assert ended.exit_code == 2 and message in ended.stderr

    @pytest.mark.slow
    def test_the_shell_sees_status_1_and_every_id(self, spoiled_persons):
        folder = spoiled_persons.save()
        done = subprocess.run(
            [
                *(sys.executable, '-m', 'mspn_plugin', 'check', config_path('mspn_synthetic')),
                *('--no-images', '--no-cost'),
            ],
            capture_output=True,
            text=True,
            env={**os.environ, 'COCO_ROOT': str(folder)},
        )
        assert done.returncode == 1, done.stderr
        judged = {n for n, (_, _, in_training, _) in SPOILED_PERSONS.items() if in_training}
        assert all(f'id {number}' in done.stdout for number in judged)
        assert 'Traceback' not in done.stderr


@pytest.mark.slow
def test_data_with_harmless_faults_are_trained_and_evaluated_on(rendered, tmp_path):
    from support.shell import mim, succeeded

    data = Data(rendered, tmp_path / 'coco')
    harmless = (903, 909, 910, 911, 913, 914, 915, 916, 920)
    for number in harmless:
        data.add_person(number, SPOILED_PERSONS[number][0])
    data.add_person(930, having(iscrowd=1, num_keypoints=0, keypoints=[0] * 51))
    pictures = {**HARMLESS_PICTURES, 'transparent.png': as_png(half_transparent)}
    for number, (name, write) in enumerate(pictures.items(), 3000):
        data.add_picture(number, name, write)
    folder = data.save()
    assert not check(config(folder), cost=False).errors()

    # The same data are evaluated on.
    shutil.copy(folder / TRAIN, folder / TRAIN.replace('train', 'val'))
    shutil.rmtree(folder / 'val2017')
    (folder / 'val2017').symlink_to('train2017')
    shutil.copy(config_path('mspn_coco'), tmp_path / 'mspn_coco.py')
    boxes = ['val_dataloader.dataset.bbox_file=None', 'test_dataloader.dataset.bbox_file=None']
    options = ['train_cfg.max_epochs=1', 'train_dataloader.batch_size=30', *boxes]
    succeeded(mim('train', 'mspn_coco.py', cwd=tmp_path, coco_root=folder, options=options))
    assert (tmp_path / 'work_dirs' / 'mspn_coco' / 'epoch_1.pth').is_file()
