"""The command that turns other checkpoints into files that ``load_from`` takes.

``python -m mspn_plugin.checkpoint megvii IN OUT`` converts one of the authors' release. MMPose's
checkpoints need no conversion.
"""

import argparse
import zipfile
from pathlib import Path
from typing import Any, List, Optional, Union

import torch

from ..errors import SettingError, about
from ..files import check_target, writing
from ..weights.loading import reading
from ..weights.megvii import convert_megvii_checkpoint


def convert_megvii_file(
    source: Union[str, Path], target: Union[str, Path], overwrite: bool = False
) -> int:
    """Convert a file of the authors' release, by :func:`convert_megvii_checkpoint`.

    The target appears whole or not at all. Nothing in the source is run: a file that holds more
    than tensors and plain values is refused.

    Args:
        source (str | Path): The release's file.
        target (str | Path): The file to write, in MMEngine's form.
        overwrite (bool): Whether an existing target is replaced.

    Returns:
        int: The number of stages.

    Raises:
        SettingError: If the source is missing, unsafe or not of the release, or the target exists
            or its folder does not.
    """
    target = Path(target)
    check_target(target, overwrite)
    with about(str(source)):
        converted = convert_megvii_checkpoint(_read(Path(source)))
    with writing(target) as unfinished:
        torch.save({'meta': {}, 'state_dict': converted}, unfinished)
    return len({key.split('.')[2] for key in converted if '.multi_stage_mspn.' in key})


def _read(path: Path) -> Any:
    if not path.is_file():
        raise SettingError('there is no such file')
    with reading('it'):
        if zipfile.is_zipfile(path):
            # torch looks at no checksum, and would take any number that a broken disk has left.
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
            if damaged:
                raise SettingError(f'it is damaged: the checksum of {damaged} in it does not fit')
        return torch.load(path, map_location='cpu', weights_only=True)


def main(arguments: Optional[List[str]] = None) -> None:
    """Run the command.

    Args:
        arguments (list[str], optional): The command line, without the program's name.
    """
    parser = argparse.ArgumentParser(
        prog='python -m mspn_plugin.checkpoint',
        description='Turn a checkpoint of another code into one that load_from takes. '
        "MMPose's own need no conversion.",
    )
    origins = parser.add_subparsers(dest='origin', required=True)
    megvii = origins.add_parser(
        'megvii', help="a checkpoint of the authors' release (megvii-detection/MSPN)"
    )
    megvii.add_argument('source', metavar='IN', help="the release's file")
    megvii.add_argument('target', metavar='OUT', help='the file to write')
    megvii.add_argument('--overwrite', action='store_true', help='replace OUT if it exists')
    options = parser.parse_args(arguments)
    stages = convert_megvii_file(options.source, options.target, options.overwrite)
    print(
        f'{options.target}: an estimator of {stages} stage{"s" if stages > 1 else ""}, '
        'for load_from of a config with as many'
    )


if __name__ == '__main__':
    main()
