"""Training and fine-tuning: events, Ctrl-C, going on, progress."""
import ksom
import numpy as np
import pytest
from support import ksom as command
from support import noise, python

SMALL = {"hidden": 8, "residual_hidden": 4, "num_codes": 16, "dim": 4, "batch_size": 4, "valid_fraction": 0.2,
         "validate_every": 4, "checkpoint_every": 100}


def test_a_training_tells_what_happens(pictures, tmp_path):
    events = []
    summary = ksom.train("cifar10", pictures, tmp_path / "run", steps=6, seed=3, overrides=SMALL, progress=False,
                         on_event=events.append)
    kinds = [event["kind"] for event in events]
    assert kinds[0] == "started" and kinds.count("step") == 6 and kinds.count("validated") == 2
    assert kinds[-1] == "checkpoint" and events[0]["of"] == 6
    steps = [event for event in events if event["kind"] == "step"]
    assert [event["step"] for event in steps] == [1, 2, 3, 4, 5, 6]
    assert all(np.isfinite(event["reconstruction"]) for event in steps)
    assert (summary.steps, summary.of, summary.stopped, summary.early) == (6, 6, False, False)
    assert summary.best["step"] in (4, 6)
    model = summary.model()
    assert model.num_codes == 16 and model.encode(noise(1, 32, 32)).shape == (8, 8)
    assert ksom.figures.curves(summary.run).size[0] > 100


def test_the_same_training_as_the_commands(pictures, tmp_path):
    options = {key: value for key, value in SMALL.items()}
    ksom.train("cifar10", pictures, tmp_path / "a", steps=5, seed=1, overrides=options, progress=False)
    sets = [part for key, value in options.items() for part in ("--set", f"{key}={value}")]
    command("train", "--recipe", "cifar10", "--data", pictures, "--out", tmp_path / "b", "--steps", 5, "--seed", 1, *sets)
    for name in ["model.safetensors", "training.safetensors", "recipe.toml"]:
        if name != "training.safetensors":
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_a_training_is_stopped_and_goes_on(pictures, tmp_path):
    run = tmp_path / "run"
    summary = ksom.train("cifar10", pictures, run, steps=8, overrides=SMALL, progress=False,
                         on_event=lambda event: event["kind"] != "step" or event["step"] < 3)
    assert summary.stopped and summary.steps == 3
    with pytest.raises(ksom.TrainingError, match="already holds a training"):
        ksom.train("cifar10", pictures, run, steps=8, overrides=SMALL, progress=False)
    with pytest.raises(ksom.InvalidError, match="quantizer"):
        ksom.train(out=run, resume=True, overrides={"decay": 0.5}, progress=False)
    seen = []
    summary = ksom.train(out=run, resume=True, progress=False, on_event=seen.append)
    assert not summary.stopped and summary.steps == 8 and seen[0]["step"] == 3

    whole = ksom.train("cifar10", pictures, tmp_path / "whole", steps=8, overrides=SMALL, progress=False)
    for name, array in whole.model().state().items():
        np.testing.assert_array_equal(array, summary.model().state()[name])


def test_what_the_listener_raises_comes_back_after_a_checkpoint(pictures, tmp_path):
    def listen(event):
        if event["kind"] == "step" and event["step"] == 2:
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        ksom.train("cifar10", pictures, tmp_path / "run", steps=50, overrides=SMALL, progress=False, on_event=listen)
    goes_on = ksom.train(out=tmp_path / "run", resume=True, progress=False, on_event=lambda e: e.get("step", 0) < 4)
    assert goes_on.steps == 4 and goes_on.stopped


def test_the_listener_can_use_models(pictures, tmp_path, small):
    """Also where there is one thread to compute on, which the training does not keep."""
    seen = []

    def listen(event):
        if event["kind"] == "validated":
            seen.append(small.encode(noise(1, 16, 16)))

    ksom.train("cifar10", pictures, tmp_path / "run", steps=4, overrides=SMALL, progress=False, on_event=listen)
    assert len(seen) == 1
    out = python(f"""
import ksom, numpy
model = ksom.Model.from_pretrained("cifar10-ksom")
seen = lambda event: model.encode(numpy.zeros((8, 8, 3), numpy.uint8)) is not None
summary = ksom.train("cifar10", {str(pictures)!r}, {str(tmp_path / "one")!r}, steps=2, overrides={SMALL!r},
                     progress=False, on_event=seen)
print(summary.steps)
""", RAYON_NUM_THREADS="1")
    assert out.strip() == "2"


def test_ctrl_c_writes_a_checkpoint(pictures, tmp_path):
    out = python(f"""
import _thread, threading, ksom
def soon(event):
    if event["kind"] == "step" and event["step"] == 3:
        threading.Timer(0.2, _thread.interrupt_main).start()
try:
    ksom.train("cifar10", {str(pictures)!r}, {str(tmp_path / "run")!r}, steps=1000000, overrides={SMALL!r},
               progress=False, on_event=soon)
    print("ended by itself")
except KeyboardInterrupt:
    print("stopped")
""")
    assert out.strip() == "stopped"
    assert (tmp_path / "run/last/model.safetensors").is_file()
    seen = []
    ksom.train(out=tmp_path / "run", resume=True, progress=False, on_event=lambda event: seen.append(event) or False)
    assert seen[0]["kind"] == "started" and seen[0]["step"] > 0


def test_a_model_is_tuned(pictures, tmp_path):
    summary = ksom.finetune("cifar10-ksom", pictures, tmp_path / "run", steps=2, only="decoder", progress=False,
                            overrides={"batch_size": 2, "training.validate_every": 1})
    tuned, base = summary.model(), ksom.Model.from_pretrained("cifar10-ksom")
    assert summary.steps == 2 and tuned.config["provenance"]["base_model"] == "cifar10-ksom"
    assert tuned.fingerprint == base.fingerprint, "codes made before remain good"
    picture = noise(1, 32, 32)
    np.testing.assert_array_equal(tuned.encode(picture), base.encode(picture))


def test_a_map_is_stretched(pictures, tmp_path):
    asked = dict(steps=1, progress=False, overrides={"batch_size": 2})
    ksom.finetune("cifar10-ksom", pictures, tmp_path / "run", num_codes=1024, **asked)
    wide = ksom.Model.from_pretrained(tmp_path / "run/last")
    assert wide.config["quantizer"]["grid"] == [32, 32]
    # It goes on with as many codes.
    ksom.finetune("cifar10-ksom", pictures, tmp_path / "run", num_codes=1024, resume=True, **asked)
    with pytest.raises(ksom.InvalidError, match="differs.*number of codes"):
        ksom.finetune("cifar10-ksom", pictures, tmp_path / "run", num_codes=512, resume=True, **asked)
    with pytest.raises(ksom.InvalidError, match="no map"):
        ksom.finetune("cifar10-ema", pictures, tmp_path / "x", num_codes=1024, **asked)
    with pytest.raises(ksom.InvalidError, match="num_codes.*model's own"):
        ksom.finetune("cifar10-ksom", pictures, tmp_path / "x", overrides={"num_codes": 1024}, progress=False)
    assert not (tmp_path / "x").exists()


def test_what_cannot_be_trained_is_said(pictures, tmp_path):
    assert "cifar10" in ksom.recipes()
    with pytest.raises(TypeError, match="run directory"):
        ksom.train("cifar10", pictures)
    with pytest.raises(ksom.InvalidError, match="recipe"):
        ksom.train(None, pictures, tmp_path / "x", progress=False)
    with pytest.raises(ksom.InvalidError, match="data"):
        ksom.train("cifar10", None, tmp_path / "x", progress=False)
    with pytest.raises(ksom.KsomError, match="no_such_field"):
        ksom.train("cifar10", pictures, tmp_path / "x", overrides={"no_such_field": 1}, progress=False)
    with pytest.raises(ksom.KsomError, match="nowhere"):
        ksom.train("cifar10", tmp_path / "nowhere", tmp_path / "x", progress=False)
    with pytest.raises(ksom.NoModelError):
        ksom.finetune("nobody", pictures, tmp_path / "x", progress=False)
    assert not (tmp_path / "x").exists()


def test_progress_is_a_line_where_there_is_no_tqdm(pictures, tmp_path, capsys, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    ksom.train("cifar10", pictures, tmp_path / "run", steps=4, overrides=SMALL)
    assert "step 4 of 4: validation mse" in capsys.readouterr().err
    ksom.train("cifar10", pictures, tmp_path / "quiet", steps=4, overrides=SMALL, progress=False)
    assert capsys.readouterr().err == ""


def test_progress_is_a_bar_where_there_is_tqdm(pictures, tmp_path, monkeypatch):
    import sys
    import types

    class Bar:
        n, closed, total = 0, False, None

        def __init__(self, **options):
            Bar.total = options["total"]

        def update(self, steps):
            Bar.n += steps

        def set_postfix(self, **_):
            pass

        def close(self):
            Bar.closed = True

    monkeypatch.setitem(sys.modules, "tqdm", types.ModuleType("tqdm"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", types.SimpleNamespace(tqdm=Bar))
    ksom.train("cifar10", pictures, tmp_path / "run", steps=4, overrides=SMALL)
    assert Bar.total == 4 and Bar.n == 4 and Bar.closed
