"""Runs in the environment of an MLflow release: loads MLflow once, and forks for whoever needs it loaded.

A process that loads MLflow takes four seconds of CPU before it does anything, `mlflow server` twice that. A fork does
the same, by the same options, with everything loaded.

`mlflow_forks.py SOCKET TEMPLATE SESSION`: each connection sends one JSON document, and gets the id of the new process.
`arguments` are those of Python (`-m MODULE`, `-c CODE` or a file, and what follows). With `database`, `mlflow.db` in
`folder` begins as TEMPLATE, a database without rows. `wait` gets a second line, the exit code. `modules` are loaded
before, too, once and for all. All ends with SESSION.
"""

import gc
import json
import os
import runpy
import shutil
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

LOADED = """
gunicorn.app.wsgiapp uvicorn.main uvicorn.protocols.http.auto mlflow.cli mlflow.server mlflow.server.fastapi_app
mlflow.server.auth
mlflow.pyfunc mlflow.store.artifact.artifact_repository_registry mlflow.store.artifact.local_artifact_repo
mlflow.store.artifact.http_artifact_repo mlflow.store.artifact.mlflow_artifacts_repo
mlflow.store.model_registry.sqlalchemy_store mlflow.store.tracking.file_store mlflow.store.tracking.rest_store
mlflow.store.tracking.sqlalchemy_store mlflow.store.db.utils mlflow.tracking.client
"""
"""What servers and clients load, in this order: whether it becomes a server MLflow sees by what was loaded before.
A server without logins loads the logins too, at its first search."""


def load(names: Iterable[str]) -> None:
    """Not every release has all."""
    for name in names:
        if name not in sys.modules:
            with suppress(ImportError):
                __import__(name)
    gc.collect()
    gc.freeze()


def initialise(template: str) -> None:
    """All tables, without rows: a server makes the experiment Default with its own artifact root."""
    from mlflow.store.db import utils

    engine = utils.create_sqlalchemy_engine_with_retry(f"sqlite:///{template}")
    utils._initialize_tables(engine)
    engine.dispose()


def no_waiting_for_disks() -> None:
    """What a server has written is there without it, also after a kill."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def connected(connection: Any, _: object) -> None:
        if type(connection).__module__.startswith("sqlite3"):
            connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", connected)


def cheap_passwords() -> None:
    """The login of MLflow hashes the password of each request, for a third of a second of CPU."""
    with suppress(ImportError):
        import werkzeug.security

        module: Any = werkzeug.security
        safe = module.generate_password_hash
        module.generate_password_hash = lambda password: safe(password, "pbkdf2:sha256:1")


def serve(command: list[str], extra_env: dict[str, str] | None = None, **_: object) -> None:
    """Instead of a process for `python -m uvicorn …` or `gunicorn …`: this one is it."""
    os.environ.update(extra_env or {})
    if extra_env and extra_env.get("_MLFLOW_STATIC_PREFIX"):  # its addresses are made while it loads
        for name in [name for name in sys.modules if name.startswith("mlflow.server")]:
            del sys.modules[name]
    place = next(i for i, word in enumerate(command) if Path(word).name in ("uvicorn", "gunicorn"))
    sys.argv = command[place:]
    if Path(sys.argv[0]).name == "gunicorn":
        sys.argv[1:1] = ["--timeout", "900"]  # on a busy machine it would kill a worker that got no turn for 30 s
        from gunicorn.config import KNOWN_SETTINGS

        if "control_socket_disable" in {setting.name for setting in KNOWN_SETTINGS}:
            sys.argv[1:1] = ["--no-control-socket"]  # all servers of a user have the same
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def run(arguments: list[str]) -> None:
    """As `python ARGUMENTS…` would."""
    import mlflow.server

    mlflow.server._exec_cmd = serve
    if "basic-auth" in arguments:  # it reads its settings while it loads
        sys.modules.pop("mlflow.server.auth", None)
    first, *others = arguments
    if first == "-c":
        sys.argv = ["-c", *others[1:]]
        exec(compile(others[0], "<string>", "exec"), {"__name__": "__main__"})
    elif first == "-m":
        sys.argv = others
        runpy.run_module(others[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(arguments)
        runpy.run_path(first, run_name="__main__")


def become(asked: dict[str, Any], template: str) -> None:
    """This process, which was forked for it, becomes what was asked for."""
    os.setsid()
    os.chdir(asked["folder"])
    for number, (name, flags) in enumerate([("stdin", 0), ("stdout", os.O_WRONLY), ("stderr", os.O_WRONLY)]):
        place = os.open(asked.get(name) or os.devnull, flags | (flags and os.O_APPEND | os.O_CREAT), 0o644)
        os.dup2(place, number)
        os.close(place)
    os.environ.clear()
    os.environ.update(asked["environment"])
    database = Path(asked["folder"], "mlflow.db")
    if asked.get("database") and not database.exists():
        shutil.copyfile(template, database)
    run(asked["arguments"])


def forked(act: Callable[[], object]) -> int:
    """The id of a process that does this and ends, with 1 after an error, as Python does."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        act()
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def attend(connection: socket.socket, listening: socket.socket, template: str) -> int:
    """Forks a process, tells and gives its id. Where one is waited for, its parent is forked, and tells its end."""
    asked = json.loads(connection.makefile().readline())
    if asked.get("modules"):
        load(asked["modules"])

    def apart() -> None:
        connection.close()
        become(asked, template)

    def act() -> None:
        listening.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if asked.get("wait"):
            child = forked(apart)
            connection.sendall(f"{child}\n".encode())
            connection.sendall(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n".encode())
        else:
            apart()

    child = forked(act)
    if not asked.get("wait"):
        connection.sendall(f"{child}\n".encode())
    return child


def is_there(process: int) -> bool:
    """Whether the session still runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def reap(*_: object) -> None:
    """Whoever ended is gone at once, not a zombie that still seems to run."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def kill(child: int) -> None:
    """What a session left running, when it was killed itself."""
    with suppress(ChildProcessError, ProcessLookupError):
        if os.waitpid(child, os.WNOHANG)[0] == 0:
            os.killpg(child, signal.SIGKILL)


def main(place: str, template: str, session: str) -> None:
    """Until the session ends."""
    cheap_passwords()
    load(LOADED.split())
    no_waiting_for_disks()
    initialise(template)
    signal.signal(signal.SIGCHLD, reap)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(f"{place}.new")
    listening.listen(16)
    Path(f"{place}.new").rename(place)
    listening.settimeout(1)
    children: list[int] = []
    while is_there(int(session)):
        with suppress(TimeoutError):
            connection, _ = listening.accept()
            with connection:
                children.append(attend(connection, listening, template))
    for child in children:
        kill(child)
    shutil.rmtree(Path(place).parent, ignore_errors=True)
    with suppress(OSError):
        Path(place).parents[1].rmdir()  # unless another release is still there


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(*sys.argv[1:])
