"""MMPose's models beside ours: which configs, and what they are called in the tables."""

import dataclasses
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from rows import make_row

from mspn_plugin.benchmark.compare import Subject
from mspn_plugin.config_files import find_config
from mspn_plugin.inference.fused import fuse

_COCO = 'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
OTHERS = {
    'SimpleBaseline ResNet-50': f'{_COCO}td-hm_res50_8xb64-210e_coco-256x192',
    'Stacked Hourglass': f'{_COCO}td-hm_hourglass52_8xb32-210e_coco-256x256',
    'HRNet-W32': f'{_COCO}td-hm_hrnet-w32_8xb64-210e_coco-256x192',
    'RSN-50': f'{_COCO}td-hm_rsn50_8xb32-210e_coco-256x192',
    'ViTPose-small': f'{_COCO}td-hm_ViTPose-small_8xb64-210e_coco-256x192',
    'RTMPose-m': 'mmpose::body_2d_keypoint/rtmpose/coco/rtmpose-m_8xb256-420e_coco-256x192',
}


def mmpose_mspn(stages: int) -> Subject:
    """MMPose's own MSPN of so many stages."""
    return Subject(f'{_COCO}{_mspn(stages)}', name=f'MMPose MSPN, {_stages(stages)}')


def our_mspn(stages: int) -> Subject:
    """This plugin's MSPN of so many stages."""
    return Subject(_mspn(stages), name=f'MSPN, {_stages(stages)}')


def fused_mspn(stages: int) -> Subject:
    """The same, fused for prediction."""
    return dataclasses.replace(our_mspn(stages), name=f'MSPN fused, {_stages(stages)}', change=fuse)


def subjects(stages: Iterable[int], others: Mapping[str, str] = OTHERS) -> list[Subject]:
    """All models of the comparison, in the order of the tables."""
    found = [Subject(config, name=name) for name, config in others.items()]
    for number in stages:
        found += [mmpose_mspn(number), our_mspn(number), fused_mspn(number)]
    return found


def published(config: str) -> dict[str, Any]:
    """The AP that a config's own metafile states.

    Args:
        config (str): The config's name.

    Returns:
        dict: ``AP`` (0 to 1) and ``source`` (what the metafile says of it, or else the package and
        the metafile); empty where no metafile beside the config has an AP for it.
    """
    path = Path(find_config(config)).resolve()
    for metafile in sorted(path.parent.glob('*.yml')):
        for model in (yaml.safe_load(metafile.read_text()) or {}).get('Models', []):
            if Path(model.get('Config', '')).name != path.name:
                continue
            for results in model.get('Results') or []:
                if 'AP' in (results.get('Metrics') or {}):
                    source = f'mmpose {version("mmpose")} {metafile.name}'
                    return dict(
                        AP=float(results['Metrics']['AP']), source=model.get('Source') or source
                    )
    return {}


def claims(rows: Iterable[Mapping[str, Any]], batch_size: int) -> list[dict[str, Any]]:
    """The network's and the training step's rows: ours beside MMPose's of as many stages.

    Args:
        rows (Iterable[dict]): What :func:`mspn_plugin.benchmark.compare.run` measured.
        batch_size (int): Persons in its batches.

    Returns:
        list[dict]: Rows in the form that the modules ``bench_*.py`` return.
    """
    measured = {row['name']: row for row in rows}
    found = []
    for stages in range(1, 5):
        theirs = measured.get(mmpose_mspn(stages).name, {})
        for topic, name, key in (
            ('network', f'MSPN, {_stages(stages)}', 'latency'),
            ('network', f'MSPN, {_stages(stages)}', 'batch'),
            ('fused network', f'MSPN fused, {_stages(stages)}', 'latency'),
            ('fused network', f'MSPN fused, {_stages(stages)}', 'batch'),
            ('training step', f'MSPN, {_stages(stages)}', 'training'),
        ):
            ours = measured.get(name, {})
            if key not in ours or key not in theirs:
                continue
            persons = 1 if key == 'latency' else batch_size
            found.append(
                make_row(
                    topic,
                    f'{_stages(stages)}, batch {persons}',
                    ours[key]['median'],
                    theirs[key]['median'],
                )
            )
    order = ('network', 'fused network', 'training step')
    return sorted(found, key=lambda row: order.index(row['topic']))


def _mspn(stages: int) -> str:
    factor = '' if stages == 1 else f'{stages}x'
    return f'td-hm_{factor}mspn50_8xb32-210e_coco-256x192'


def _stages(number: int) -> str:
    return '1 stage' if number == 1 else f'{number} stages'
