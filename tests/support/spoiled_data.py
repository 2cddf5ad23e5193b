"""A copy of the rendered people into which persons and images with faults are put."""

import copy
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config
from PIL import Image

from mspn_plugin import config_path
from mspn_plugin.checks import faults
from mspn_plugin.checks.faults import ERROR, WARNING

NAN = float('nan')
TRAIN = 'annotations/person_keypoints_train2017.json'


def keypoint(x, y, v):
    return lambda person: person['keypoints'].__setitem__(slice(0, 3), [x, y, v])


def having(**fields):
    return lambda person: person.update(fields)


def lacking(field):
    return lambda person: person.pop(field)


# What is done to a copy of a person, and how it is to be judged in training and evaluation.
SPOILED_PERSONS = {
    901: (keypoint(NAN, 20, 2), faults.KEYPOINT_NOT_FINITE, ERROR, ERROR),
    902: (keypoint(20, 20, NAN), faults.KEYPOINT_NOT_FINITE, ERROR, ERROR),
    903: (keypoint(None, None, 0), faults.KEYPOINTS_MALFORMED, ERROR, ERROR),
    904: (having(keypoints=[1, 2, 2] * 16), faults.KEYPOINTS_MALFORMED, ERROR, ERROR),
    905: (lacking('keypoints'), faults.INCOMPLETE, WARNING, ERROR),
    906: (lacking('bbox'), faults.INCOMPLETE, WARNING, ERROR),
    907: (having(bbox=[NAN, 10, 20, 20]), faults.BBOX_NOT_FINITE, ERROR, ERROR),
    908: (having(bbox=[10, 10, 20]), faults.BBOX_NOT_FINITE, ERROR, ERROR),
    909: (having(bbox=[10, 10, 0, 20]), faults.LEFT_OUT, WARNING, WARNING),
    910: (having(bbox=[30, 30, -10, 20]), faults.LEFT_OUT, WARNING, WARNING),
    911: (having(bbox=[5000, 10, 20, 20]), faults.LEFT_OUT, WARNING, WARNING),
    912: (having(num_keypoints=0), faults.LEFT_OUT, WARNING, WARNING),
    913: (having(image_id=4242), faults.LEFT_OUT, WARNING, WARNING),
    914: (keypoint(0, 0, 1), faults.KEYPOINT_AT_ZERO, WARNING, WARNING),
    915: (lacking('area'), faults.AREA_NOT_POSITIVE, None, ERROR),
    916: (having(area=0), faults.AREA_NOT_POSITIVE, None, ERROR),
    917: (having(iscrowd=None), faults.CROWD_MALFORMED, WARNING, ERROR),
    918: (having(category_id=7), faults.UNKNOWN_CATEGORY, WARNING, ERROR),
    919: (lacking('category_id'), faults.MALFORMED, ERROR, ERROR),
}
HARMLESS_PERSONS = {
    931: keypoint(NAN, NAN, 0),
    932: keypoint(-300, 20, 2),
    933: keypoint(20, 20, 3),
    934: having(iscrowd=1, num_keypoints=0, keypoints=[0] * 51),
    935: having(num_keypoints=0, keypoints=[0] * 51),
}


def as_png(change):
    """Write what ``change`` makes of a Pillow image as PNG."""
    return lambda image, path: change(image).save(path, 'PNG')


def as_jpeg(**options):
    return lambda image, path: image.save(path, 'JPEG', quality=90, **options)


def cut(image, path):
    image.save(path, 'JPEG')
    path.write_bytes(path.read_bytes()[:-400])


def orientation(number):
    exif = Image.Exif()
    exif[274] = number
    return exif.tobytes()


def sixteen_bits(image, path):
    cv2.imwrite(str(path), np.asarray(image)[:, :, ::-1].astype(np.uint16) * 257)


SPOILED_IMAGES = {
    'cut.jpg': (cut, faults.IMAGE_BROKEN),
    'empty.jpg': (lambda image, path: path.write_bytes(b''), faults.IMAGE_BROKEN),
    'page.jpg': (lambda image, path: path.write_text('<html>not found'), faults.IMAGE_BROKEN),
    'missing.jpg': (lambda image, path: None, faults.IMAGE_MISSING),
    'half.jpg': (
        lambda image, path: image.resize((image.width // 2, image.height // 2)).save(path),
        faults.IMAGE_RESIZED,
    ),
    'turned.jpg': (as_jpeg(exif=orientation(6)), faults.IMAGE_RESIZED),
}
HARMLESS_IMAGES = {
    'grey.jpg': lambda image, path: image.convert('L').save(path),
    'grey.png': as_png(lambda image: image.convert('L')),
    'sixteen.png': sixteen_bits,
    'cmyk.jpg': lambda image, path: image.convert('CMYK').save(path, 'JPEG', quality=90),
    'palette.png': as_png(lambda image: image.convert('P')),
    'opaque.png': as_png(lambda image: image.convert('RGBA')),
}


class Data:
    """A copy of the rendered people, to which persons and images are added."""

    def __init__(self, rendered, folder):
        self.folder = Path(shutil.copytree(rendered, folder))
        self.content = json.loads((self.folder / TRAIN).read_text())
        images = {image['id']: image for image in self.content['images']}
        # Of an image that is not square: it shows when it is turned.
        self.person, self.image = next(
            (person, image)
            for person in self.content['annotations']
            if person['num_keypoints'] > 8 and person['keypoints'][2] > 0
            if (image := images[person['image_id']])['width'] != image['height']
        )

    def add_person(self, number, change=lambda person: None):
        person = copy.deepcopy({**self.person, 'id': number})
        change(person)
        self.content['annotations'].append(person)

    def add_image(self, number, name, write):
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
