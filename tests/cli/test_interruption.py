"""A signal ends a command whatever its main thread is doing."""

import signal
import subprocess
import sys
import time

import pytest

SETUP = """
import os, signal, sys, threading, time
from runsync.cli import interruption
interruption.GRACE = 1.0
def give_up():
    print("given up", flush=True)
    os._exit(130)
interruption.Interruption(give_up).begin()
lock = threading.Lock()
lock.acquire()
"""


def _run(script: str) -> tuple[int, str, float]:
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", SETUP + script], capture_output=True, encoding="utf-8", timeout=30, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout.strip(), time.monotonic() - begun


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_main_thread_that_slept_through_a_signal_is_woken(number: signal.Signals) -> None:
    # The kernel may give a signal to any thread: the one it gets here does not wake the main thread.
    script = f"""
threading.Timer(0.2, lambda: signal.pthread_kill(threading.get_ident(), {number.value})).start()
try:
    lock.acquire()
except KeyboardInterrupt:
    print("heard")
"""
    code, told, seconds = _run(script)
    assert (code, told) == (0, "heard")
    assert seconds < 10


def test_a_command_that_does_not_end_is_given_up() -> None:
    script = """
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
while True:
    try:
        lock.acquire()
    except KeyboardInterrupt:
        pass
"""
    assert _run(script)[:2] == (130, "given up")


def test_a_second_signal_does_not_disturb_the_tidying_up() -> None:
    script = """
try:
    os.kill(os.getpid(), signal.SIGTERM)
    lock.acquire()
except KeyboardInterrupt:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.3)
    print("tidied up")
"""
    assert _run(script)[:2] == (0, "tidied up")


def test_a_signal_where_python_lets_no_exception_out_is_heard_again() -> None:
    script = """
import weakref
class Thing: pass
def callback(reference):
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(1000): pass
thing = Thing()
reference = weakref.ref(thing, callback)
try:
    del thing
    time.sleep(20)
except KeyboardInterrupt:
    print("heard")
    os._exit(0)
"""
    code, told, seconds = _run(script)
    assert (code, told) == (0, "heard")
    assert seconds < 10
