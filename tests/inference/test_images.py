"""Images and videos are found, read and written."""

import cv2
import numpy as np
import pytest
from PIL import Image

from mspn_plugin import SettingError
from mspn_plugin.inference.images import find_images, read_image, read_video, writing_video


def test_grey_deep_and_transparent_images_are_read_as_colours(tmp_path):
    grey = np.tile(np.arange(0, 250, 10, np.uint8), (20, 1))
    kinds = dict(
        grey=grey,
        deep=grey.astype(np.uint16) * 257,
        alpha=np.dstack([grey, grey, grey, np.full_like(grey, 9)]),
    )
    for name, image in kinds.items():
        path = tmp_path / f'{name}.png'
        cv2.imwrite(str(path), image)
        assert read_image(path).dtype == np.uint8
        assert np.abs(read_image(path).astype(int) - grey[..., None]).max() <= 1


def test_an_image_is_turned_as_its_exif_data_say(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # its orientation: a quarter turn
    Image.new('RGB', (40, 20)).save(tmp_path / 'a.jpg', exif=exif)
    assert read_image(tmp_path / 'a.jpg').shape == (40, 20, 3)


@pytest.mark.parametrize('content', [b'', b'no image'])
def test_what_is_no_image_or_video_is_named(tmp_path, content):
    for name, read in (('a.jpg', read_image), ('a.mp4', read_video)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SettingError, match=f'{name} cannot be read'):
            read(tmp_path / name)


def test_a_written_video_has_its_frames_and_rate_and_appears_whole(tmp_path):
    writer = cv2.VideoWriter(
        str(tmp_path / 'a.mp4'), cv2.VideoWriter.fourcc(*'mp4v'), 10, (160, 120)
    )
    for value in (50, 100, 150):
        writer.write(np.full((120, 160, 3), value, np.uint8))
    writer.release()
    video = read_video(tmp_path / 'a.mp4')
    with writing_video(tmp_path / 'b.mp4', video.fps, video.resolution) as copy:
        for frame in video:
            copy.write(frame)
        assert not (tmp_path / 'b.mp4').exists()
    copied = read_video(tmp_path / 'b.mp4')
    assert (copied.fps, copied.resolution) == (10, (160, 120))
    assert [frame.mean() for frame in copied] == pytest.approx([50, 100, 150], abs=15)


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(SettingError, match='holds no images'):
        find_images([str(tmp_path)])
