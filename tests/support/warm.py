"""Commands that are forked from a process which has imported PyTorch and MMPose.

Those imports take longer than a tiny training, and ``mim train`` makes them twice. A folder with
``mim``, ``mspn`` and ``python`` goes first on a script's ``PATH``: they are programs of a few lines
that hand their arguments, folder, environment and files to a server, which forks and runs the real
command's file. Tests that need a fresh process start the real ones.
"""

import ast
import gc
import os
import runpy
import select
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
NAMES = ('mim', 'mspn', 'python')
CLIENT = """#!{python} -IS
import os, socket, sys
asked = repr((sys.argv, os.getcwd(), dict(os.environ))).encode()
os.chdir({folder!r})  # a socket's address must be short
with socket.socket(socket.AF_UNIX) as server:
    server.connect('socket')
    socket.send_fds(server, [len(asked).to_bytes(4, 'big')], [0, 1, 2])
    server.sendall(asked)
    sys.exit(int(server.recv(3)))
"""


@contextmanager
def warm_commands(folder):
    """Put the commands into a folder and serve them."""
    for name in NAMES:
        (folder / name).write_text(CLIENT.format(python=sys.executable, folder=str(folder)))
        (folder / name).chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, __file__, folder, sys.executable],
        env={
            **os.environ,
            'OMP_NUM_THREADS': '1',
            'PYTHONPATH': str(REPO),
            'PYTORCH_NVML_BASED_CUDA_CHECK': '1',  # the other one spoils CUDA for forks
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    server.stdout.readline()  # it listens
    try:
        yield folder
    finally:
        server.communicate()  # the end of its input ends it


def serve(folder):
    """Answer until the input ends; returns in the process that is to run a command."""
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(folder)
        listener.bind('socket')
        listener.listen()
        print('listening', flush=True)
        sys.executable = str(folder / 'python')  # mim and programs start others by it
        import mim.cli  # noqa: F401
        from plain_configs import leave_configs_plain  # beside this file

        import mspn_plugin  # noqa: F401

        leave_configs_plain()
        gc.freeze()
        while True:
            if listener not in select.select([listener, sys.stdin], [], [])[0]:
                os._exit(0)
            connection, _ = listener.accept()
            if os.fork() == 0:
                break
            connection.close()
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
    with connection:
        length, files, *_ = socket.recv_fds(connection, 4, 3)
        asked = b''
        while len(asked) < int.from_bytes(length, 'big'):
            asked += connection.recv(65536)
        if command := os.fork():
            status = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
            connection.sendall(str(status & 255).encode())
            os._exit(0)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.argv, where, environment = ast.literal_eval(asked.decode())
    os.chdir(where)
    os.environ.clear()
    os.environ.update(environment)


def run(python):
    """Run the file that the arguments name, as Python would."""
    name = Path(sys.argv[0]).name
    if name == 'python':
        del sys.argv[0]
        if not sys.argv or sys.argv[0].startswith('-'):
            os.execv(python, [python, *sys.argv])
    else:
        sys.argv[0] = str(Path(python).with_name(name))
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
    runpy.run_path(sys.argv[0], run_name='__main__')


if __name__ == '__main__':
    real_python = sys.argv[2]
    serve(Path(sys.argv[1]))
    run(real_python)
