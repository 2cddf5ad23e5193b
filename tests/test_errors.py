"""A user's mistake amounts to one message, and no other error does."""

import sys

import cv2
import pytest
from mmpose.datasets.transforms import LoadImage
from torch.utils.data import DataLoader

from mspn_plugin.errors import SettingError, plain_message


def test_a_setting_error_is_found_behind_the_error_that_a_framework_made_of_it():
    with pytest.raises(RuntimeError) as caught:
        try:
            raise SettingError('kernel_sizes is (4,); it takes odd numbers')
        except SettingError as error:
            raise RuntimeError('while building') from error
    assert plain_message(caught.value) == 'kernel_sizes is (4,); it takes odd numbers'


def refused(samples):
    raise SettingError('kernel_sizes is (4,);\nit takes odd numbers')


@pytest.mark.parametrize('workers', [0, 1])
def test_a_setting_error_of_a_worker_is_its_text_alone(workers):
    with pytest.raises(SettingError) as caught:
        list(DataLoader([1], collate_fn=refused, num_workers=workers))
    assert plain_message(caught.value) == 'kernel_sizes is (4,);\nit takes odd numbers'


def test_other_errors_have_no_message():
    assert plain_message(FileNotFoundError('there is no such file')) is None


class TestAProgramThatDies:
    """Importing the plugin has set what is printed then."""

    @pytest.fixture
    def printed(self, capsys):
        def by(error):
            sys.excepthook(type(error), error, None)
            return capsys.readouterr().err

        return by

    def test_prints_a_users_mistake_as_one_message(self, printed):
        said = printed(SettingError('num_stages is 0; it takes 1 or more'))
        assert 'mspn_plugin: num_stages is 0; it takes 1 or more' in said
        assert 'SettingError' not in said

    def test_prints_the_traceback_on_request(self, printed, monkeypatch):
        monkeypatch.setenv('MSPN_TRACEBACK', '1')
        assert 'SettingError: num_stages is 0' in printed(SettingError('num_stages is 0'))

    def test_prints_other_errors_as_ever(self, printed):
        assert 'FileNotFoundError: gone' in printed(FileNotFoundError('gone'))


def first_loaded(samples):
    return LoadImage().transform(samples[0])


@pytest.mark.parametrize('content', ['<html>', ''])
@pytest.mark.parametrize('workers', [0, 1])
def test_an_image_that_cannot_be_read_is_named(tmp_path, content, workers):
    file = tmp_path / 'page.jpg'
    file.write_text(content)
    loader = DataLoader([{'img_path': str(file)}], collate_fn=first_loaded, num_workers=workers)
    with pytest.raises((AssertionError, cv2.error)) as caught:
        list(loader)
    assert plain_message(caught.value).startswith(f'{file} cannot be read as an image')
