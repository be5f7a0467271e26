"""The notebook runs from top to bottom."""
import json
import os
import subprocess
import sys

import pytest
from support import ROOT

NOTEBOOKS = sorted((ROOT / "examples/python").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path, tmp_path):
    pytest.importorskip("torch", reason="the notebook trains with torch, which is not installed")
    cells = json.loads(path.read_text())["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert len(sources) > 4
    for cell in cells:
        assert cell["cell_type"] != "code" or not cell["outputs"], "a notebook is committed without its outputs"
    # What ends a cell is shown, as notebooks show it.
    program = """
import ast, sys
scope = {"__name__": "__main__"}
for number, source in enumerate(SOURCES):
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, f"cell {number}", "exec"), scope)
    if last is not None:
        shown = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), scope)
        png = getattr(shown, "_repr_png_", None)
        print(number, "picture" if png is not None and png() else repr(shown)[:200])
"""
    script = tmp_path / "notebook.py"
    script.write_text(f"SOURCES = {sources!r}\n{program}")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=600, cwd=path.parent,
                          env={**os.environ, "KSOM_QUICK": "1"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("picture") >= 2, "the map and the samples are shown"
