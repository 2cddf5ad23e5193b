from setuptools import find_packages, setup

setup(
    # Installed, the configs lie in mspn_plugin/configs; mspn_plugin.config_path() finds them.
    packages=[
        *find_packages(include=['mspn_plugin*']),
        'mspn_plugin.configs',
        'mspn_plugin.configs._base_',
    ],
    py_modules=['mspn_cli'],
    package_dir={'mspn_plugin.configs': 'configs'},
    package_data={'mspn_plugin.configs': ['*.yml'], 'mspn_plugin.weights': ['*.pth']},
)
