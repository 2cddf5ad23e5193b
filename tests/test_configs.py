"""Every config of the folder: it builds, draws its targets, takes one step and predicts."""

import ast
import json
import re
from pathlib import Path

import cv2
import mmpose
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, MODELS, PARAM_SCHEDULERS
from modelindex.load_model_index import load

from mspn_plugin import SettingError, config_names, config_path
from mspn_plugin.checks.fit import check_fit, check_model

REPO = Path(__file__).resolve().parent.parent
# Where the photographs of other data sets than COCO lie below shared_data: annotations, images.
PHOTOS = {
    'MpiiDataset': ('mpii/test_mpii.json', 'mpii/'),
    'CocoWholeBodyDataset': ('coco_wholebody/test_coco_wholebody.json', 'coco_wholebody/'),
    'CrowdPoseDataset': ('crowdpose/test_crowdpose.json', 'crowdpose/'),
    'AP10KDataset': ('ap10k/test_ap10k.json', 'ap10k/'),
}
IMAGES_PER_EPOCH = 149813  # labelled persons of COCO's train2017
STEPS_PER_EPOCH = IMAGES_PER_EPOCH // 256


def draw_figures(folder, joints):
    """Two images with the figures of the template, in the layout that it asks for."""
    places = np.array([[60, 20], [30, 70], [90, 70], [60, 90], [40, 150], [80, 150]])
    assert len(places) == joints
    (folder / 'train').mkdir(parents=True)
    annotations, images = [], []
    for index in range(2):
        image = np.full((200, 160, 3), 60, np.uint8)
        moved = places + 10 * index
        for x, y in moved.tolist():
            cv2.circle(image, (x, y), 4, (0, 200, 255), -1)
        cv2.imwrite(str(folder / 'train' / f'{index}.png'), image)
        images.append(dict(id=index, file_name=f'{index}.png', width=160, height=200))
        keypoints = np.concatenate([moved, np.full((joints, 1), 2)], axis=1).ravel().tolist()
        annotations.append(
            dict(
                id=index,
                image_id=index,
                category_id=1,
                bbox=[20, 10, 90, 150],
                area=13500,
                iscrowd=0,
                num_keypoints=joints,
                keypoints=keypoints,
            )
        )
    categories = [dict(id=1, name='person')]
    file = folder / 'train.json'
    file.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))
    return str(file), str(folder / 'train') + '/'


def dataset_of(loader, request, folder):
    """A config's data set on rendered people, drawn figures, or photographs if there are any."""
    settings = loader.dataset.copy()
    if 'datasets' in settings:  # they are mixed; all are read in the same way
        settings = Config(dict(settings.datasets[0], pipeline=settings.pipeline))
    if 'metainfo' in settings:
        ann_file, images = draw_figures(folder, len(settings.metainfo.keypoint_info))
    elif settings.type == 'CocoDataset':
        people = request.getfixturevalue('rendered')
        ann_file = people / 'annotations' / 'person_keypoints_train2017.json'
        images = people / 'train2017'
    else:
        photographs = request.getfixturevalue('shared_data')  # skips where there are none
        ann_file, images = (photographs / path for path in PHOTOS[settings.type])
    settings.update(ann_file=str(ann_file), data_root='', data_prefix=dict(img=f'{images}/'))
    for boxes in ('bbox_file', 'headbox_file'):
        settings.pop(boxes, None)
    return DATASETS.build(settings)


@pytest.mark.slow
@pytest.mark.parametrize('name', config_names())
def test_a_config_takes_a_step_and_predicts(name, request, tmp_path):
    torch.manual_seed(0)
    np.random.seed(0)
    cfg = Config.fromfile(config_path(name))
    init_default_scope(cfg.default_scope)
    # The authors' figures are computed with networks of full width; here a narrow one is enough.
    cfg.model.backbone.update(
        init_cfg=None, stem_channels=8, unit_channels=16, num_blocks=[1, 1, 1, 1]
    )
    cfg.model.head.unit_channels = 16
    model = MODELS.build(cfg.model)
    model.init_weights()
    check_model(model)

    for hook in cfg.custom_hooks:  # the data of the last epoch
        if hook.type == 'mmdet.PipelineSwitchHook':
            cfg.train_dataloader.dataset.pipeline = hook.switch_pipeline
    train = dataset_of(cfg.train_dataloader, request, tmp_path / 'train')
    assert len(train) > 0
    check_fit(train, model, 'train_dataloader.dataset')
    sample = train[0]
    codec = cfg.model.head.decoder
    if codec.get('draw_on_device'):
        labels = sample['data_samples'].gt_instance_labels
        coder = model.head.decoder
        joints, weights = labels.keypoint_labels, labels.keypoint_weights
        levels = [coder.draw(joints, weights, level)[0] for level in range(coder.num_levels)]
    else:
        levels = sample['data_samples'].gt_fields.heatmaps
    assert sample['inputs'].shape == (3, *codec.input_size[::-1])
    assert len(levels) == len(codec.kernel_sizes)
    assert levels[0].shape == (cfg.model.head.out_channels, *codec.heatmap_size[::-1])
    assert levels[-1].max() > 128

    model.train()
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    before = next(model.backbone.parameters()).detach().clone()
    losses = model.train_step(pseudo_collate([sample]), optimizer)
    assert np.isfinite(losses['loss'].item())
    assert not torch.equal(before, next(model.backbone.parameters()))

    model.eval()
    val = dataset_of(cfg.val_dataloader, request, tmp_path / 'val')
    check_fit(val, model, 'val_dataloader.dataset')
    (person,) = model.test_step(pseudo_collate([val[0]]))
    keypoints = person.pred_instances.keypoints
    assert keypoints.shape == (1, cfg.model.head.out_channels, 2)
    assert np.isfinite(keypoints).all()
    assert cfg.dataset_type == type(train).__name__


def rates(cfg, steps):
    """The learning rate of each step, as MMEngine's hooks change it."""
    optimizer = build_optim_wrapper(torch.nn.Linear(1, 1), cfg.optim_wrapper).optimizer
    schedulers = [
        PARAM_SCHEDULERS.build(scheduler, default_args=dict(optimizer=optimizer))
        for scheduler in cfg.param_scheduler
    ]
    optimizer.step()
    found = np.empty(steps)
    for step in range(steps):
        found[step] = optimizer.param_groups[0]['lr']
        for scheduler in schedulers:
            if not scheduler.by_epoch or (step + 1) % STEPS_PER_EPOCH == 0:
                scheduler.step()
    return found, optimizer


def test_mmposes_schedule_over_the_whole_run():
    cfg = Config.fromfile(config_path('td-hm_4xmspn50_8xb32-210e_coco-256x192'))
    init_default_scope(cfg.default_scope)
    assert cfg.train_cfg.max_epochs == 210
    steps = np.arange(210 * STEPS_PER_EPOCH)
    found, optimizer = rates(cfg, len(steps))
    warm_up = 0.001 + (1 - 0.001) * np.minimum(steps / 499, 1)
    epoch = steps // STEPS_PER_EPOCH
    decay = np.where(epoch < 170, 1, np.where(epoch < 200, 0.1, 0.01))
    assert found == pytest.approx(5e-3 * warm_up * decay, rel=1e-6)
    assert type(optimizer) is torch.optim.Adam


@pytest.mark.parametrize(
    'name, count',
    [
        ('td-hm_4xmspn50_megvii-8xb32-96k_coco-256x192', 96000),
        ('td-hm_4xmspn50_megvii-8xb32-28.8k_mpii-256x256', 28800),
    ],
)
def test_the_authors_schedule_over_the_whole_run(name, count):
    cfg = Config.fromfile(config_path(name))
    init_default_scope(cfg.default_scope)
    steps = np.arange(cfg.train_cfg.max_iters)
    assert len(steps) == count
    found, optimizer = rates(cfg, len(steps))
    warm_up = 0.1 + 0.9 * steps / 2400
    decay = 1 - (steps - 2400) / (count - 2400)
    expected = 5e-4 * 8 * np.where(steps < 2400, warm_up, decay)
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-9)
    assert type(optimizer) is torch.optim.Adam
    assert optimizer.param_groups[0]['weight_decay'] == 1e-5


def test_the_authors_test_crop_of_mpii_is_the_annotations_and_a_quarter(
    shared_data, request, tmp_path
):
    cfg = Config.fromfile(config_path('td-hm_2xmspn50_megvii-8xb32-28.8k_mpii-256x256'))
    init_default_scope(cfg.default_scope)
    people = dataset_of(cfg.val_dataloader, request, tmp_path)
    annotations = json.loads((shared_data / PHOTOS['MpiiDataset'][0]).read_text())
    assert len(people) == len(annotations)
    for person, annotation in zip(people, annotations):
        meta, scale = person['data_samples'].metainfo, annotation['scale']
        center = np.array(annotation['center']) + (-1, 15 * scale - 1)
        assert meta['input_center'] == pytest.approx(center, abs=1e-3)
        assert meta['input_scale'] == pytest.approx(np.full(2, 200 * scale * 1.25), abs=1e-3)


@pytest.mark.parametrize('recipe', ['8xb32-210e', 'megvii-8xb32-96k'])
def test_the_number_of_stages_is_in_the_name(recipe):
    for stages, prefix in enumerate(['', '2x', '3x', '4x'], start=1):
        cfg = Config.fromfile(config_path(f'td-hm_{prefix}mspn50_{recipe}_coco-256x192.py'))
        assert cfg.model.backbone.num_stages == cfg.model.head.num_stages == stages


def test_the_authors_recipe_reads_bgr_and_empties_occluded_joints():
    cfg = Config.fromfile(config_path('td-hm_2xmspn50_megvii-8xb32-96k_coco-256x192'))
    assert not cfg.model.data_preprocessor.bgr_to_rgb
    assert cfg.model.data_preprocessor.mean[::-1] == [123.675, 116.28, 103.53]
    assert cfg.model.head.empty_occluded


def test_an_unknown_config_names_similar_ones():
    with pytest.raises(SettingError, match='td-hm_4xmspn50_8xb32-210e_coco-256x192'):
        config_path('td-hm_4xmspn50_coco-256x192')


def test_the_index_lists_configs_with_published_figures_and_their_source():
    index = load(str(REPO / 'model-index.yml'))
    index.build_models_with_collections()
    listed = {Path(model.config).stem: model for model in index.models}
    published = {name for name in config_names() if name.startswith('td-hm') and 'coco-2' in name}
    assert published <= listed.keys()
    for name, model in listed.items():
        assert (REPO / model.config).is_file() and model.name == name
        assert 'not measured' in model.data['Source']
        assert all(figure > 0.7 for figure in model.results[0].metrics.values())


def test_figures_of_mmposes_recipe_are_those_of_its_metafile():
    file = Path(mmpose.__file__).parent / '.mim/configs/body_2d_keypoint/topdown_heatmap/coco'
    theirs, ours = (
        {model.name: model for model in load(str(metafile)).models}
        for metafile in (file / 'mspn_coco.yml', REPO / 'configs' / 'mspn_coco.yml')
    )
    assert len(theirs) == 4
    for name, model in theirs.items():
        assert ours[name].results[0].metrics == model.results[0].metrics
        assert ours[name].weights == model.weights


def test_the_documentations_table_is_the_folder():
    rows = re.findall(
        r'^\| `(\w.*?)` \|(.*)\|$', (REPO / 'docs/configs.md').read_text(), re.MULTILINE
    )
    files = [REPO / 'configs' / f'mspn_{data}.yml' for data in ('coco', 'mpii')]
    index = {model.name: model for file in files for model in load(str(file)).models}
    assert sorted(name for name, _ in rows) == config_names()
    for name, row in rows:
        _, stages, size, _, published = (cell.strip() for cell in row.split('|'))
        cfg = Config.fromfile(config_path(name))
        assert cfg.model.backbone.num_stages == int(stages), name
        assert 'x'.join(map(str, cfg.model.head.decoder.input_size[::-1])) == size, name
        if name in index:
            main, *_ = index[name].results[0].metrics.values()
            assert main == float(published.removeprefix('PCKh ')), name


def test_the_options_for_a_converted_checkpoint_turn_the_authors_recipe_to_rgb():
    page = (REPO / 'docs' / 'train-on-coco.md').read_text()
    options = re.findall(r"(model\.data_preprocessor\.\w+)='?([^'\s]*)", page)
    cfg = Config.fromfile(config_path('td-hm_4xmspn50_megvii-8xb32-96k_coco-256x192'))
    init_default_scope(cfg.default_scope)
    image = torch.randint(256, (3, 8, 8), dtype=torch.uint8)
    bgr = MODELS.build(cfg.model.data_preprocessor)(dict(inputs=[image], data_samples=[]))
    cfg.merge_from_dict({name: ast.literal_eval(value) for name, value in options})
    rgb = MODELS.build(cfg.model.data_preprocessor)(dict(inputs=[image], data_samples=[]))
    assert len(options) == 3
    assert torch.equal(rgb['inputs'], bgr['inputs'].flip(1))
