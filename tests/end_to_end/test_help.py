"""``mspn --help`` answers at once."""

import subprocess
import sys


def test_the_help_waits_for_no_framework():
    code = (
        'import sys, mspn_cli\n'
        "mspn_cli.main(['--help'], standalone_mode=False)\n"
        "heavy = {'torch', 'numpy', 'mmengine', 'mmpose', 'mspn_plugin'} & set(sys.modules)\n"
        'assert not heavy, heavy\n'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'predict' in done.stdout and 'benchmark' in done.stdout
