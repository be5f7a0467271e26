"""ksom.torch: the quantizer as a layer, and the networks."""
import json
import os
import pickle

import ksom
import numpy as np
import pytest
from support import IMAGES, MODELS, ROOT, noise, python, safetensors
from test_quantizer import GOLDEN, close, fields

torch = pytest.importorskip("torch", reason="torch is not installed (pip install torch)")

import ksom.torch  # noqa: E402
from ksom import _ksom  # noqa: E402


def layer_of(arrays, options, kernels):
    """A layer with the initial state of a golden file; in f64 the kernels do not take it."""
    layer = ksom.torch.KSOM(**options)
    for name, golden in [("_w", "embedding"), ("_ema_w", "ema_sum"), ("_ema_cluster_size", "counts")]:
        getattr(layer, name).copy_(torch.from_numpy(arrays[f"init.{golden}"]))
    return layer if kernels else layer.double()


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "torch"])
@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_the_layer_follows_the_papers_code(path, kernels):
    arrays, about = safetensors(path)
    options, steps = fields(about)
    layer = layer_of(arrays, options, kernels)
    for step in range(steps):
        golden = {name: torch.from_numpy(arrays[f"step{step}.{name}"]) for name in ("input", "output_grad")}
        x = golden["input"].clone().requires_grad_()
        made = layer(x)
        np.testing.assert_array_equal(made.codes, arrays[f"step{step}.codes"])
        close(made.output.detach(), arrays[f"step{step}.quantized"])
        close(made.loss.detach(), arrays[f"step{step}.loss"])
        close(made.perplexity, arrays[f"step{step}.perplexity"])
        (made.loss + (made.output * golden["output_grad"]).sum()).backward()
        close(x.grad, arrays[f"step{step}.input_grad"])
        close(layer._w, arrays[f"step{step}.embedding"])
        close(layer._ema_w, arrays[f"step{step}.ema_sum"])
        close(layer._ema_cluster_size, arrays[f"step{step}.counts"])
    layer.eval()
    made = layer(torch.from_numpy(arrays["eval.input"]))
    np.testing.assert_array_equal(made.codes, arrays["eval.codes"])
    assert int(layer.counter) == steps, "nothing is learned in evaluation"


@pytest.mark.parametrize("neighborhood", ["hard", "gaussian", "none"])
@pytest.mark.parametrize("grid", [[24], [6, 4], [4, 3, 2], [1, 24]])
def test_the_layer_and_the_quantizer_are_one(neighborhood, grid):
    quantizer = ksom.Quantizer(24, 5, neighborhood, grid=grid, seed=1)
    layer = ksom.torch.KSOM(24, 5, neighborhood, grid=grid, auto_step=False)
    layer.load_state_dict({name: torch.from_numpy(array) for name, array in quantizer.state().items()})
    rng = np.random.default_rng(2)
    for _ in range(5):
        parts = [rng.normal(size=(2, 5, 3, 4)).astype(np.float32) for _ in range(2)]
        seen = None
        for part in parts:
            made = quantizer(part)
            observed = quantizer.observe(part, made.codes)
            seen = observed if seen is None else seen + observed
            np.testing.assert_array_equal(layer(torch.from_numpy(part)).codes, made.codes)
        quantizer.step(seen)
        layer.step()
        for name, array in quantizer.state().items():
            close(getattr(layer, name), array)


def test_tensors_in_tensors_out():
    quantizer = ksom.Quantizer(16, 4)
    x = torch.randn(10, 4, requires_grad=True)
    made = quantizer(x)
    assert isinstance(made.output, torch.Tensor) and isinstance(made.codes, torch.Tensor)
    np.testing.assert_array_equal(made.codes, quantizer.assign(x.detach().numpy()))
    quantizer.step(quantizer.observe(x, made.codes))
    assert torch.equal(quantizer.lookup(made.codes), torch.from_numpy(quantizer.codebook)[made.codes])


def test_forms_of_the_layer():
    layer = ksom.torch.KSOM(16, 4).eval()
    for shape, codes in [((7, 4), (7,)), ((2, 7, 4), (2, 7)), ((2, 4, 3, 5), (2, 3, 5))]:
        x = torch.randn(shape)
        made = layer(x)
        assert made.output.shape == x.shape and made.codes.shape == codes
        assert torch.equal(layer.decode(made.codes), made.output) and torch.equal(layer.encode(x), made.codes)
        assert layer(x.to(torch.bfloat16)).output.dtype == torch.bfloat16
    with pytest.raises(ksom.InvalidError, match="found"):
        layer(torch.randn(3, 5))
    with pytest.raises(ksom.InvalidError, match="decay"):
        ksom.torch.KSOM(16, 4, decay=2.0)
    assert "16, 4, 'hard', grid=4×4" in repr(layer)


def test_the_layer_survives_a_checkpoint():
    layer = ksom.torch.KSOM(16, 4, "gaussian")
    for _ in range(3):
        layer(torch.randn(20, 4))
    again = ksom.torch.KSOM(16, 4, "gaussian")
    again.load_state_dict(layer.state_dict())
    x = torch.randn(20, 4)
    layer(x), again(x)
    assert torch.equal(again._w, layer._w) and int(again.counter) == 4
    assert torch.equal(pickle.loads(pickle.dumps(layer))._w, layer._w)


def distributed_step(rank, count, path, x, out):
    import torch.distributed as distributed

    distributed.init_process_group("gloo", init_method=f"file://{path}", rank=rank, world_size=count)
    torch.manual_seed(0)
    layer = ksom.torch.KSOM(16, 4)
    for part in x:
        layer(part.chunk(count)[rank])
    torch.save(layer.state_dict(), f"{out}.{rank}")
    distributed.destroy_process_group()


def test_processes_learn_as_one(tmp_path):
    """What two processes have learned from halves is what one has learned from the whole."""
    x = [torch.randn(20, 4, generator=torch.Generator().manual_seed(seed)) for seed in range(4)]
    torch.save(x, tmp_path / "x")
    program = f"""
import sys, torch
sys.path.insert(0, {os.path.dirname(__file__)!r})
import torch.multiprocessing as multiprocessing
from test_torch import distributed_step
if __name__ == "__main__":
    x = torch.load({str(tmp_path / "x")!r})
    multiprocessing.start_processes(distributed_step, (2, {str(tmp_path / "meet")!r}, x, {str(tmp_path / "state")!r}),
                                    nprocs=2, start_method="fork")
"""
    python(program)
    torch.manual_seed(0)
    layer = ksom.torch.KSOM(16, 4)
    for part in x:
        layer(part)
    first, second = (torch.load(f"{tmp_path / 'state'}.{rank}") for rank in range(2))
    for name, tensor in layer.state_dict().items():
        assert torch.equal(first[name], second[name]), name
        close(first[name], tensor)


@pytest.mark.parametrize("name", MODELS)
def test_networks_give_the_codes_that_ksom_gives(name):
    model, network = ksom.Model.from_pretrained(name), ksom.torch.load(name)
    differ = total = 0
    for path in IMAGES:
        from PIL import Image

        pixels = np.asarray(Image.open(path).convert("RGB"))
        here, there = network.encode_picture(pixels), model.encode(pixels)
        levels = [(here, there)] if isinstance(here, np.ndarray) else [(here[level], there[level]) for level in there]
        for a, b in levels:
            differ, total = differ + int((a != b).sum()), total + a.size
        decoded = network.decode_picture(there)
        assert np.abs(decoded.astype(int) - model.decode(there)).max() <= 1
    print(f"{name}: {differ} of {total} codes differ")
    assert differ == 0


@pytest.mark.parametrize("path", sorted((ROOT / "tests/golden/model").glob("vqvae*.safetensors")), ids=lambda p: p.stem)
def test_networks_train_as_the_papers_do(path):
    arrays, about = safetensors(path)
    config = json.loads(about["config"])
    if config["quantizer"] == "gd_som":
        with pytest.raises(NotImplementedError):
            ksom.torch.VqVae({"architecture": {"hidden": 8, "residual_layers": 1, "residual_hidden": 4},
                              "quantizer": {"kind": "gd_som", "dim": 4}})
        return
    grid = _ksom.auto_grid(config["num_embeddings"], config["grid_dim"])
    quantizer = {"kind": "ksom", "num_codes": config["num_embeddings"], "dim": config["embedding_dim"], "grid": grid,
                 "neighborhood": config["neighborhood"], "shrink_step": config["shrink_step"],
                 "gaussian_base": config["gaussian_base"], "decay": config["decay"],
                 "commitment": config["commitment_cost"], "counter_init": config["counter_init"],
                 "skip_unused": config["quantizer"] == "hardsom_noupdate_zero"}
    architecture = {"kind": config["model"], "hidden": config["num_hiddens"],
                    "residual_layers": config["num_residual_layers"], "residual_hidden": config["num_residual_hiddens"]}
    network = ksom.torch.build({"architecture": architecture, "quantizer": quantizer})
    under = {name[5:]: torch.from_numpy(array) for name, array in arrays.items() if name.startswith("init.")}
    network.load_state_dict(under)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config["lr"], betas=config["betas"], eps=config["eps"],
                                  weight_decay=config["weight_decay"])
    for step in range(config["steps"]):
        x = torch.from_numpy(arrays[f"step{step}.input"])
        made = network(x)
        loss = torch.nn.functional.mse_loss(made.reconstruction, x)
        close(loss.detach(), arrays[f"step{step}.recon_loss"])
        close(made.loss.detach(), arrays[f"step{step}.commit_loss"])
        (loss + made.loss).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), config["grad_clip"])
        optimizer.step()
        optimizer.zero_grad()
    for name, tensor in network.state_dict().items():
        np.testing.assert_allclose(tensor, arrays[f"final.{name}"], rtol=2e-3, atol=2e-5, err_msg=name)


def test_a_network_is_saved_as_a_model(small, tmp_path):
    network = ksom.torch.load(small)
    network.train().requires_grad_()
    x = network.to_input(noise(1, 32, 32))
    made = network(x)
    (torch.nn.functional.mse_loss(made.reconstruction, x) + made.loss).backward()
    torch.optim.SGD(network.parameters(), 0.01).step()
    network.eval()
    ksom.torch.save(network, tmp_path / "model")
    model = ksom.Model.from_pretrained(tmp_path / "model")
    assert model.fingerprint != small.fingerprint
    np.testing.assert_array_equal(model.encode(noise(2, 32, 32)), network.encode_picture(noise(2, 32, 32)))


def test_tensors_are_pictures_and_codes(small):
    pixels = noise(1, 32, 48)
    expected = small.encode(pixels)
    tensor = torch.from_numpy(pixels)
    np.testing.assert_array_equal(small.encode(tensor), expected)
    np.testing.assert_array_equal(small.encode(tensor[None])[0], expected)
    np.testing.assert_array_equal(small.encode(tensor.permute(2, 0, 1).contiguous().permute(1, 2, 0)), expected)
    for codes in [torch.from_numpy(expected), torch.from_numpy(expected).int(), torch.from_numpy(expected)[None]]:
        decoded = small.decode(codes)
        decoded = decoded[0] if isinstance(decoded, list) else decoded
        np.testing.assert_array_equal(decoded, small.decode(expected))


class Encoded:
    """A data set that encodes in the workers."""

    def __init__(self, model, pictures):
        self.model, self.pictures = model, pictures

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, number):
        return self.model.encode(self.pictures[number])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_data_loaders(small, tmp_path, workers, method):
    pictures = [noise(seed, 16, 16) for seed in range(12)]
    codes = small.encode(pictures)
    ksom.CodesFile.of(small, codes).save(tmp_path / "tokens.safetensors")
    for data in [ksom.CodesDataset(tmp_path), Encoded(small, pictures), codes]:
        context = method if workers else None
        loader = torch.utils.data.DataLoader(data, batch_size=5, num_workers=workers, multiprocessing_context=context,
                                             timeout=60 if workers else 0)
        batches = list(loader)
        assert [len(batch) for batch in batches] == [5, 5, 2] and batches[0].dtype == torch.int64
        np.testing.assert_array_equal(torch.cat(batches), np.stack(codes))
