"""The quantizer by itself, against files made by the paper's own code."""
import json
import pickle

import ksom
import numpy as np
import pytest
from support import ROOT, safetensors

GOLDEN = sorted((ROOT / "tests/golden/quantizer").glob("*som*-k*.safetensors"))
GOLDEN = [path for path in GOLDEN if not path.name.startswith("gd_som")]


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def fields(about):
    """The configuration of a golden file, as keyword arguments."""
    config = json.loads(about["config"])
    shared = {key: config[key] for key in ("decay", "epsilon", "counter_init", "shrink_step", "gaussian_base")}
    # The paper's code names the axes from the slowest to the fastest.
    return dict(
        num_codes=config["num_embeddings"], dim=config["embedding_dim"], neighborhood=config["neighborhood"],
        grid=config["grid_shape"], commitment=config["commitment_cost"],
        skip_unused=config["variant"] == "hardsom_noupdate_zero", **shared,
    ), config["steps"]


def with_state(arrays, options):
    """A quantizer with the initial state of a golden file."""
    fresh = ksom.Quantizer(**options)
    state = {"_w": "embedding", "_ema_w": "ema_sum", "_ema_cluster_size": "counts"}
    state = {name: arrays[f"init.{golden}"] for name, golden in state.items()}
    state["counter"] = np.zeros((), np.float32)
    rebuild, (config, _) = fresh.__reduce__()
    return rebuild(config, state)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_it_follows_the_papers_code(path):
    arrays, about = safetensors(path)
    options, steps = fields(about)
    quantizer = with_state(arrays, options)
    for step in range(steps):
        x = arrays[f"step{step}.input"]
        made = quantizer.forward(x)
        np.testing.assert_array_equal(made.codes, arrays[f"step{step}.codes"])
        close(made.output, arrays[f"step{step}.quantized"])
        close(made.loss, arrays[f"step{step}.loss"])
        close(made.perplexity, arrays[f"step{step}.perplexity"])
        # A batch in parts is one update.
        quantizer.step(quantizer.observe(x[:15], made.codes[:15]) + quantizer.observe(x[15:], made.codes[15:]))
        state = quantizer.state()
        for name, golden in [("_w", "embedding"), ("_ema_w", "ema_sum"), ("_ema_cluster_size", "counts")]:
            close(state[name], arrays[f"step{step}.{golden}"])
    assert quantizer.steps == steps


def test_it_learns_a_map():
    rng = np.random.default_rng(0)
    quantizer = ksom.Quantizer(64, 2, seed=1)
    before = None
    for _ in range(300):
        x = rng.uniform(-1, 1, (256, 2)).astype(np.float32)
        made = quantizer(x)
        before = before or made.loss
        quantizer.step(quantizer.observe(x, made.codes))
    assert made.loss < before / 2 and made.perplexity > 40 and quantizer.steps == 300
    columns, rows = quantizer.grid
    cells = quantizer.codebook.reshape(rows, columns, 2)
    neighbors = np.linalg.norm(np.diff(cells, axis=1), axis=2).mean()
    assert neighbors < np.linalg.norm(quantizer.codebook[:, None] - quantizer.codebook[None], axis=2).mean() / 2


def test_maps_and_rows():
    quantizer = ksom.Quantizer(16, 4, neighborhood="gaussian", grid=[4, 4], seed=2)
    maps = np.random.default_rng(1).normal(size=(2, 4, 3, 5)).astype(np.float64)
    made = quantizer(maps)
    assert made.output.shape == maps.shape and made.codes.shape == (2, 3, 5) and made.codes.dtype == np.int64
    rows = maps.transpose(0, 2, 3, 1).reshape(-1, 4)
    np.testing.assert_array_equal(quantizer.assign(rows), made.codes.ravel())
    np.testing.assert_array_equal(quantizer.lookup(made.codes), made.output.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(quantizer.lookup(made.codes), quantizer.codebook[made.codes])


def test_it_is_pickled_with_its_state():
    quantizer = ksom.Quantizer(16, 4, "none", decay=0.9)
    x = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    quantizer.step(quantizer.observe(x, quantizer.assign(x)))
    again = pickle.loads(pickle.dumps(quantizer))
    assert again.config == quantizer.config and again.steps == 1
    for name, array in quantizer.state().items():
        np.testing.assert_array_equal(again.state()[name], array)


def test_what_does_not_fit_is_refused():
    quantizer = ksom.Quantizer(16, 4)
    x = np.zeros((3, 4), np.float32)
    for call in [lambda: quantizer(np.zeros((3, 5), np.float32)), lambda: quantizer(np.zeros((3, 4), int)),
                 lambda: quantizer.observe(x, np.full(3, 16)), lambda: quantizer.lookup(np.array([-1])),
                 lambda: ksom.Quantizer(16, 4, "round"), lambda: ksom.Quantizer(16, 4, grid=[5, 5]),
                 lambda: ksom.Quantizer(16, 4, decay=1.5), lambda: ksom.Quantizer(16, 4, no_such_option=1),
                 lambda: quantizer.observe(x, np.zeros(3, int)) + ksom.Quantizer(8, 4).observe(x, np.zeros(3, int))]:
        with pytest.raises(ksom.InvalidError):
            call()
    with pytest.raises(ksom.InvalidError, match="sums of shape"):
        quantizer.step(ksom.Quantizer(8, 4).observe(x, np.zeros(3, int)))
