from pathlib import Path

from setuptools import find_packages, setup

setup(
    name='mspn_plugin',
    version='0.1.0',
    description='MSPN, the Multi-Stage Pose estimation Network, as a plugin for MMPose',
    long_description=(Path(__file__).parent / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    # Installed, the configs lie in mspn_plugin/configs; mspn_plugin.config_path() finds them.
    packages=[
        *find_packages(include=['mspn_plugin*']),
        'mspn_plugin.configs',
        'mspn_plugin.configs._base_',
    ],
    py_modules=['mspn_cli'],
    package_dir={'mspn_plugin.configs': 'configs'},
    package_data={'mspn_plugin.configs': ['*.yml']},
    entry_points={'console_scripts': ['mspn = mspn_cli:main']},
    python_requires='>=3.10',
    # MMPose and its companions are not listed: pip can't resolve mmpose 1.3.2, which asks for a
    # package that no longer builds. requirements/ and docs/install.md say how they are installed.
    install_requires=['click', 'numpy', 'opencv-python', 'rich', 'tqdm'],
)
