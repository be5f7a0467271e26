"""What the package brings along: the command, types, and documents whose lines run."""
import ast
import importlib
import inspect
import re
import sys
from pathlib import Path

import ksom
import pytest
from ksom import _ksom
from PIL import Image
from support import ROOT, noise
from support import ksom as command


def test_the_command_is_the_command(tmp_path):
    assert command("--version").stdout.strip() == f"ksom {ksom.__version__}"
    assert command(check=False).returncode == 2
    assert command("no-such-command", check=False).returncode == 2
    failed = command("info", tmp_path / "nowhere", check=False)
    assert failed.returncode == 1 and failed.stderr.startswith("error: ") and failed.stdout == ""
    assert "cifar10-ksom" in command("list").stdout
    assert command("info", "photos-ksom", "--json").stdout.lstrip().startswith("{")


def test_the_zoo_is_there():
    names = sorted(path.parent.name for path in (ROOT / "models").glob("*/model.safetensors"))
    assert sorted(ksom.builtin_models()) == names and names


def test_every_native_function_has_its_types():
    stub = ast.parse((Path(ksom.__file__).parent / "_ksom.pyi").read_text())
    told = {node.name: node for node in stub.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    there = {name for name in dir(_ksom) if not name.startswith("__")}
    assert set(told) == there
    for name, node in told.items():
        if isinstance(node, ast.ClassDef):
            methods = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
            native = {name for name in vars(getattr(_ksom, name)) if not name.startswith("__")}
            assert native == {method for method in methods if not method.startswith("__")}, name
    assert (Path(ksom.__file__).parent / "py.typed").is_file()


def test_everything_public_has_a_docstring():
    for name in ["ksom", "ksom.errors", "ksom.figures", "ksom.model", "ksom.codes", "ksom.quantizer", "ksom.training"]:
        module = importlib.import_module(name)
        assert module.__doc__, name
        for thing in vars(module).values():
            if (inspect.isclass(thing) or inspect.isfunction(thing)) and thing.__module__.startswith("ksom"):
                assert thing.__doc__ or thing.__name__.startswith("_"), thing
                for method, member in vars(thing).items() if inspect.isclass(thing) else []:
                    if not method.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
                        assert member.__doc__, f"{thing.__name__}.{method}"


def blocks(path, language="python"):
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.S)


@pytest.mark.parametrize("document", ["README.md", "crates/python/README.md", "docs/python.md"])
def test_the_lines_of_the_documents_run(document, tmp_path, monkeypatch, pictures):
    """Each block goes on where the one before it ended."""
    for name in ("a.jpg", "b.png"):
        Image.fromarray(noise(1, 40, 60)).save(tmp_path / name)
    (tmp_path / "photos").symlink_to(pictures)
    monkeypatch.chdir(tmp_path)
    scope = {}
    found = blocks(ROOT / document)
    assert found
    for number, block in enumerate(found):
        if "torch" in block and "torch" not in sys.modules:
            try:
                import torch  # noqa: F401
            except ImportError:
                print(f"skipped: block {number} of {document} needs torch")
                continue
        exec(compile(block, f"{document}, block {number}", "exec"), scope)
