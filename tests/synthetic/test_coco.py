"""Rendered people: COCO's format, honest labels, the same bytes for the same seed."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from mspn_plugin import SettingError
from mspn_plugin.datasets.coco import KEYPOINTS
from mspn_plugin.synthetic import coco as coco_format
from mspn_plugin.synthetic.canvas import Canvas
from mspn_plugin.synthetic.coco import render_dataset, render_image
from mspn_plugin.synthetic.parts import OBJECT, OWNERS, PARTS
from mspn_plugin.synthetic.person import Body, Outfit, Pose
from mspn_plugin.synthetic.scene import label, paint_figure
from mspn_plugin.synthetic.skeleton import Figure

RED, BLUE, SKIN = (40, 40, 210), (210, 60, 40), (150, 180, 230)
ARM = ('shoulder', 'elbow', 'wrist')
COUNTS = {'train': 40, 'val': 12}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('synthetic') / 'people'
    render_dataset(folder, COUNTS['train'], COUNTS['val'], seed=3, workers=1)
    return folder


@pytest.fixture(scope='module', params=['train', 'val'])
def coco(request, data):
    coco = COCO(data / f'annotations/person_keypoints_{request.param}2017.json')
    coco.folder = data / f'{request.param}2017'
    coco.count = COUNTS[request.param]
    return coco


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


def standing(turn, **changes):
    """A person that stands upright in plain clothes, both arms hanging off the trunk."""
    arms = np.array((25.0, 0, 5, 0, 0))
    legs = np.array((6.0, 0, 0, 10, 0))
    pose = dict(
        turn=turn,
        tilt=0.0,
        roll=0.0,
        bend=0.0,
        lean=0.0,
        twist=0.0,
        look=(0.0, 0.0, 0.0),
        arms=(arms, arms),
        legs=(legs, legs),
        seated=False,
    )
    outfit = Outfit(
        skin=SKIN,
        hair=(30, 30, 30),
        top=RED,
        accent=(90, 200, 90),
        bottom=BLUE,
        shoe=(40, 40, 40),
        sleeve=2.0,
        trouser=1.9,
        skirt=0.0,
        pattern='plain',
        front='none',
        hair_style='short',
        hat='none',
        beard=False,
        glasses=False,
        rucksack=False,
    )
    body = Body.sample(np.random.default_rng(0), 200.0)
    figure = Figure(body, Pose(**{**pose, **changes}), outfit, np.array((0.5, -0.8)))
    figure.move(120.0, 120.0)
    return figure


def painted(*figures, size=(240, 240)):
    """The canvas with the figures, the first one farthest away, and the keypoints of each."""
    canvas = Canvas(*size)
    firsts = [1 + i * len(PARTS) for i in range(len(figures))]
    for figure, first in zip(figures, firsts, strict=True):
        paint_figure(canvas, figure, first)
    parts = canvas.parts[::2, ::2]
    keypoints = [label(f, first, parts) for f, first in zip(figures, firsts, strict=True)]
    return canvas, [dict(zip(KEYPOINTS, k, strict=True)) for k in keypoints]


class TestFiles:
    def test_the_folder_has_the_layout_of_coco(self, data, coco):
        assert sorted(p.name for p in data.iterdir()) == ['annotations', 'train2017', 'val2017']
        files = sorted(p.name for p in coco.folder.iterdir())
        assert files == sorted(image['file_name'] for image in coco.imgs.values())
        assert len(files) == coco.count

    def test_images_have_the_size_that_the_annotations_say(self, coco):
        for image in coco.imgs.values():
            shape = cv2.imread(str(coco.folder / image['file_name'])).shape
            assert shape == (image['height'], image['width'], 3)

    def test_the_category_is_coco_s_person(self, coco):
        from mmpose.datasets import CocoDataset

        meta = CocoDataset._load_metainfo(dict(from_file='configs/_base_/datasets/coco.py'))
        (category,) = coco.dataset['categories']
        assert (category['id'], category['name']) == (1, 'person')
        assert category['keypoints'] == list(meta['keypoint_id2name'].values())
        links = {frozenset(link) for link in meta['skeleton_links']}
        assert {frozenset((a - 1, b - 1)) for a, b in category['skeleton']} == links

    def test_identifiers_are_unique_across_both_splits(self, data):
        loaded = [json.loads(p.read_text()) for p in (data / 'annotations').iterdir()]
        for kind in ('images', 'annotations'):
            ids = [entry['id'] for content in loaded for entry in content[kind]]
            assert len(ids) == len(set(ids))

    def test_boxes_and_areas_are_those_of_the_masks(self, coco):
        for person in coco.anns.values():
            mask = coco.annToMask(person)
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            x, y, w, h = person['bbox']
            assert (x, y) == (columns[0], rows[0])
            assert (x + w, y + h) == (columns[-1] + 1, rows[-1] + 1)
            assert person['area'] == mask.sum()

    def test_a_mask_is_the_rendered_one(self):
        _, persons = render_image(3, 'train', 1)
        for person in persons:
            record = coco_format.annotation(person, 1, 0)
            coco = COCO()
            coco.imgs = {1: dict(zip(('height', 'width'), person.mask.shape, strict=True))}
            assert np.array_equal(coco.annToMask(record), person.mask)

    def test_keypoints_lie_in_the_image_and_are_counted(self, coco):
        for person in coco.anns.values():
            x, y, v = np.reshape(person['keypoints'], (17, 3)).T
            image = coco.imgs[person['image_id']]
            assert set(v) <= {0, 1, 2}
            assert person['num_keypoints'] == np.count_nonzero(v)
            assert np.all(x[v == 0] == 0) and np.all(y[v == 0] == 0)
            assert np.all((x >= 0) & (x <= image['width'] - 1))
            assert np.all((y >= 0) & (y <= image['height'] - 1))

    def test_a_few_dozen_images_hold_all_that_coco_has(self, data):
        coco = COCO(data / 'annotations/person_keypoints_train2017.json')
        persons = list(coco.anns.values())
        labelled = [p for p in persons if p['num_keypoints']]
        assert {v for p in labelled for v in p['keypoints'][2::3]} == {0, 1, 2}
        together = [len(coco.getAnnIds(imgIds=i, iscrowd=False)) for i in coco.imgs]
        assert min(together) == 1 and max(together) >= 3
        crowds = [p for p in persons if p['iscrowd']]
        assert crowds
        for crowd in crowds:
            assert set(crowd['segmentation']) == {'size', 'counts'}
            assert not any(crowd['keypoints'])

    def test_mmpose_reads_it_and_scores_the_truth_as_perfect(self, data):
        from mmpose.datasets import CocoDataset
        from mmpose.evaluation import CocoMetric

        annotations = 'annotations/person_keypoints_val2017.json'
        dataset = CocoDataset(
            ann_file=annotations,
            data_root=str(data),
            data_prefix=dict(img='val2017/'),
            test_mode=True,
        )
        truth = json.loads((data / annotations).read_text())['annotations']
        assert len(dataset) == sum(p['num_keypoints'] > 0 for p in truth)
        metric = CocoMetric(ann_file=str(data / annotations))
        metric.dataset_meta = dataset.metainfo
        samples = []
        for info in map(dataset.get_data_info, range(len(dataset))):
            assert Path(info['img_path']).is_file()
            instances = dict(bbox_scores=np.ones(1), bbox_scales=info['bbox'][:, 2:])
            predicted = dict(keypoints=info['keypoints'], keypoint_scores=np.ones((1, 17)))
            samples.append(
                dict(
                    id=info['id'],
                    img_id=info['img_id'],
                    gt_instances=instances,
                    pred_instances={**instances, **predicted},
                )
            )
        metric.process([], samples)
        scores = metric.evaluate(len(samples))
        assert scores['coco/AP'] == 1 and scores['coco/AR'] == 1


class TestSeeds:
    def test_the_same_seed_gives_the_same_bytes_however_many_processes(self, data, tmp_path):
        render_dataset(tmp_path / 'again', 40, 12, seed=3, workers=2)
        assert contents(tmp_path / 'again') == contents(data)

    def test_an_image_does_not_depend_on_how_many_there_are(self, data, tmp_path):
        render_dataset(tmp_path / 'few', 2, 3, seed=3, workers=1)
        few, many = contents(tmp_path / 'few'), contents(data)
        images = [name for name in few if name.endswith('.jpg')]
        assert len(images) == 5
        assert all(few[name] == many[name] for name in images)

    def test_seeds_splits_and_indices_all_give_other_images(self):
        images = {
            render_image(seed, split, index)[0].tobytes()
            for seed in (0, 1)
            for split in ('train', 'val')
            for index in (0, 1)
        }
        assert len(images) == 8


class TestLeftAndRight:
    @pytest.mark.parametrize('turn, left_is_right_of_right', [(0, True), (180, False)])
    def test_left_is_the_person_s_own(self, turn, left_is_right_of_right):
        keypoints = dict(zip(KEYPOINTS, standing(turn).keypoints, strict=True))
        for kind in ('eye', 'ear', 'shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle'):
            left, right = keypoints[f'left_{kind}'][0], keypoints[f'right_{kind}'][0]
            assert (left > right) == left_is_right_of_right

    def test_a_raised_left_arm_is_the_left_one(self):
        raised, hanging = np.array((30.0, 160, 0, 0, 0)), np.array((25.0, 0, 5, 0, 0))
        keypoints = dict(zip(KEYPOINTS, standing(0, arms=(raised, hanging)).keypoints, strict=True))
        assert keypoints['left_wrist'][1] < keypoints['nose'][1] < keypoints['right_wrist'][1]

    def test_front_and_back_look_different_beyond_their_outlines(self):
        front, back = painted(standing(0))[0], painted(standing(180))[0]
        face = np.s_[2 * 20 : 2 * 60, 2 * 90 : 2 * 150]
        assert np.mean(np.any(front.colours[face] != back.colours[face], axis=2)) > 0.1


class TestVisibility:
    def test_all_of_a_person_that_faces_the_viewer_is_visible(self):
        _, (keypoints,) = painted(standing(0))
        seen = {name: v for name, (_, _, v) in keypoints.items() if 'ear' not in name}
        assert set(seen.values()) == {2}

    def test_a_face_that_is_turned_away_is_not_labelled_and_all_else_is_visible(self):
        _, (keypoints,) = painted(standing(180))
        unlabelled = {name for name, (_, _, v) in keypoints.items() if v == 0}
        assert {'nose', 'left_eye', 'right_eye'} <= unlabelled <= set(KEYPOINTS[:5])
        assert {v for name, (_, _, v) in keypoints.items() if name not in unlabelled} == {2}

    def test_a_side_view_hides_the_far_side_of_the_trunk(self):
        ahead = np.array((0.0, 80, 0, 0, 0))
        _, (keypoints,) = painted(standing(90, arms=(ahead, ahead)))
        # Its left side is turned away from the viewer.
        assert keypoints['right_shoulder'][2] == keypoints['right_hip'][2] == 2
        assert keypoints['left_shoulder'][2] == keypoints['left_hip'][2] == 1
        assert keypoints['right_ear'][2] == 2
        assert keypoints['left_ear'][2] == 0

    def test_a_person_in_front_hides_the_one_behind(self):
        behind, before = standing(0), standing(0)
        before.move(120.0, 135.0)
        _, (hidden, shown) = painted(behind, before)
        assert hidden['left_hip'][2] == 1
        assert shown['left_hip'][2] == 2

    def test_a_hidden_keypoint_is_labelled_only_where_a_neighbour_is_seen(self):
        arms = np.array((0.0, 170, 0, 0, 0)), np.array((25.0, 0, 5, 0, 0))
        figure = standing(0, arms=arms)
        canvas, _ = painted(figure)
        _, elbow, wrist = (figure.keypoints[KEYPOINTS.index(f'left_{n}')] for n in ARM)
        for covered, expected in (((wrist,), (2, 2, 1)), ((elbow, wrist), (2, 1, 0))):
            parts = canvas.parts[::2, ::2].copy()
            for x, y, _ in covered:
                parts[round(y), round(x)] = OBJECT
            keypoints = label(figure, 1, parts)
            assert tuple(keypoints[KEYPOINTS.index(f'left_{n}'), 2] for n in ARM) == expected

    def test_what_the_border_cuts_off_is_not_labelled(self):
        figure = standing(0)
        figure.move(120.0, 200.0)
        _, (keypoints,) = painted(figure)
        assert keypoints['left_hip'][2] == 2
        assert tuple(keypoints['left_ankle']) == (0, 0, 0)

    def test_colours_are_where_the_keypoints_say(self):
        figure = standing(0)
        canvas, (keypoints,) = painted(figure)

        def colour(*names):
            x, y = np.mean([keypoints[name][:2] for name in names], axis=0)
            return canvas.colours[round(2 * y), round(2 * x)].astype(int)

        for names in (('left_shoulder', 'right_hip'), ('left_elbow',), ('right_elbow',)):
            blue, _, red = colour(*names)
            assert red > 2 * blue
        for name in ('left_knee', 'right_knee'):
            blue, _, red = colour(name)
            assert blue > 2 * red
        assert colour('nose') == pytest.approx(0.84 * np.array(SKIN), abs=2)

    def test_a_visible_keypoint_shows_its_own_person(self):
        for index in range(30):
            _, persons = render_image(3, 'train', index)
            for person in persons:
                x, y, v = person.keypoints.T
                columns, rows = (np.rint(c[v == 2]).astype(int) for c in (x, y))
                assert np.all(person.mask[rows, columns])

    def test_every_keypoint_has_parts_that_show_it(self):
        for name in KEYPOINTS:
            side, _, kind = name.rpartition('_')
            assert {owner.format(side) for owner in OWNERS[kind]} <= set(PARTS)


class TestCommand:
    def test_it_writes_a_data_set_and_says_so(self, mspn, tmp_path):
        out = tmp_path / 'new' / 'people'
        ended = mspn('synthetic', '--out', out, '--train', 2, '--val', 1, '--seed', 4)
        assert ended.exit_code == 0, ended.stderr
        assert '2 training images' in ended.stdout and str(out) in ended.stdout
        assert '2/2' in ended.stderr and '1/1' in ended.stderr
        assert [p.name for p in out.parent.iterdir()] == ['people']
        assert len(contents(out)) == 5

    def test_a_folder_that_is_not_empty_is_refused_and_stays(self, mspn, tmp_path):
        (tmp_path / 'mine.txt').write_text('precious')
        ended = mspn('synthetic', '--out', tmp_path, '--train', 1, '--val', 1)
        assert ended.exit_code == 2
        assert f'{tmp_path} is a file or not empty' in ended.stderr
        assert contents(tmp_path) == {'mine.txt': b'precious'}

    def test_a_file_is_refused_and_stays(self, tmp_path):
        file = tmp_path / 'file'
        file.write_text('precious')
        with pytest.raises(SettingError, match='is a file'):
            render_dataset(file, 1, 1)
        assert file.read_text() == 'precious'

    def test_an_empty_folder_is_filled(self, tmp_path):
        render_dataset(tmp_path, 1, 1, workers=1)
        assert sorted(p.name for p in tmp_path.iterdir()) == ['annotations', 'train2017', 'val2017']

    @pytest.mark.parametrize('option', ['--train=0', '--val=-1', '--seed=-1', '--workers=0'])
    def test_numbers_out_of_range_are_named(self, mspn, tmp_path, option):
        ended = mspn('synthetic', '--out', tmp_path / 'out', '--train=1', '--val=1', option)
        name, value = option.split('=')
        assert ended.exit_code == 2
        assert f"'{name}': {value} is not in the range" in ended.stderr
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize('exists', [True, False])
    def test_an_interrupt_leaves_nothing_behind(self, mspn, tmp_path, monkeypatch, exists):
        out = tmp_path / 'out'
        if exists:
            out.mkdir()
        finished = []

        def interrupted(*args):
            if len(finished) == 2:
                raise KeyboardInterrupt
            finished.append(args)
            return render_image(*args)

        monkeypatch.setattr(coco_format, 'render_image', interrupted)
        ended = mspn('synthetic', '--out', out, '--train', 3, '--val', 1, '--workers', 1)
        assert ended.exit_code == 130
        assert [p.name for p in tmp_path.rglob('*')] == (['out'] if exists else [])
