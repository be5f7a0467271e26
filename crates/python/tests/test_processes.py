"""Threads and processes, also after computing has started threads of its own. Whatever hangs runs into a time-out."""
import multiprocessing
import os
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import ksom
import numpy as np
import pytest
from support import noise, python

TIMEOUT = 60


def encoded(model, seed):
    return np.asarray(model.encode([noise(seed, 64, 64), noise(seed + 1, 40, 40)])[0])


def trained(pictures, out):
    return ksom.train("cifar10", pictures, out, steps=2, overrides=SMALL, progress=False).steps


SMALL = {"hidden": 8, "residual_hidden": 4, "num_codes": 16, "dim": 4, "batch_size": 4, "valid_fraction": 0.2}


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_processes_compute_after_their_parent_has(method, small):
    expected = [encoded(small, seed) for seed in range(4)]
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        found = [pool.submit(encoded, small, seed) for seed in range(4)]
        for codes, wanted in zip(found, expected):
            np.testing.assert_array_equal(codes.result(TIMEOUT), wanted)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_process_is_forked_while_others_compute():
    out = python(f"""
import os, sys, threading, numpy as np, ksom
sys.path.insert(0, {os.path.dirname(__file__)!r})
from support import noise
model = ksom.Model.from_pretrained("cifar10-ksom")
expected = model.encode(noise(1, 64, 64))
stop = threading.Event()
def busy():
    while not stop.is_set():
        model.encode([noise(seed, 96, 96) for seed in range(4)])
threads = [threading.Thread(target=busy) for _ in range(3)]
[thread.start() for thread in threads]
for generation in range(10):
    child = os.fork()
    if child == 0:
        codes = model.encode(noise(1, 64, 64))
        grandchild = os.fork()
        if grandchild == 0:
            os._exit(0 if (model.encode(noise(1, 64, 64)) == expected).all() else 3)
        _, status = os.waitpid(grandchild, 0)
        os._exit(os.waitstatus_to_exitcode(status) or (0 if (codes == expected).all() else 4))
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, status
stop.set()
[thread.join() for thread in threads]
print("all")
""", timeout=TIMEOUT * 2)
    assert out.strip() == "all"


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
def test_a_forked_process_trains_and_quantizes(small, pictures, tmp_path):
    encoded(small, 1)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        assert pool.submit(trained, str(pictures), str(tmp_path / "run")).result(TIMEOUT) == 2
        quantizer = ksom.Quantizer(16, 4)
        x = np.random.default_rng(1).normal(size=(100, 4)).astype(np.float32)
        np.testing.assert_array_equal(pool.submit(quantizer.assign, x).result(TIMEOUT), quantizer.assign(x))


def test_threads_share_a_model(small):
    expected = [encoded(small, seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for codes, wanted in zip(pool.map(lambda seed: encoded(small, seed), range(8), timeout=TIMEOUT), expected):
            np.testing.assert_array_equal(codes, wanted)


def test_python_goes_on_while_a_model_computes(small):
    """Another thread gets its turn in the midst of a long call."""
    turns, done = [], threading.Event()

    def count():
        while not done.is_set():
            time.sleep(0.001)
            turns.append(time.perf_counter())

    pixels = noise(1, 768, 1024)
    small.encode(pixels)
    thread = threading.Thread(target=count)
    thread.start()
    started = time.perf_counter()
    small.encode(pixels)
    ended = time.perf_counter()
    done.set()
    thread.join(TIMEOUT)
    margin = (ended - started) / 10
    assert any(started + margin < turn < ended - margin for turn in turns)


def test_ctrl_c_ends_a_long_call():
    out = python("""
import _thread, threading, time, numpy as np, ksom
model = ksom.Model.from_pretrained("cifar10-ksom")
pictures = [np.zeros((1024, 1024, 3), np.uint8)] * 400
threading.Timer(1.0, _thread.interrupt_main).start()
started = time.time()
try:
    model.encode(pictures)
    print("ended by itself")
except KeyboardInterrupt:
    print("stopped")
""", timeout=TIMEOUT * 2)
    assert out.strip() == "stopped"


def test_importing_is_light():
    """The command starts with the package: it should not wait for what it does not need."""
    out = python("import sys, ksom.command; print([name for name in ('torch', 'PIL.Image') if name in sys.modules])")
    assert out.strip() == "[]"
