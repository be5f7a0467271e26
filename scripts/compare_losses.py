"""Prints the validation losses of a ksom run beside those of scripts/train_pytorch.py, and their ratio.

    python scripts/compare_losses.py RUN/metrics.jsonl pytorch.jsonl
"""

import json
import sys
from pathlib import Path


def lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def validations(metrics, pytorch):
    """(step, loss of ksom, loss of PyTorch) of each step that both validated."""
    ours = {line["step"]: line["mse"] for line in lines(metrics) if line["kind"] == "valid"}
    theirs = {line["step"]: line["validation"] for line in lines(pytorch) if "validation" in line}
    return [(step, ours[step], theirs[step]) for step in sorted(ours.keys() & theirs.keys())]


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    common = validations(sys.argv[1], sys.argv[2])
    if not common:
        sys.exit("no step was validated by both")
    print(f"{'step':>6} {'ksom':>10} {'PyTorch':>10} {'ratio':>8}")
    for step, ours, theirs in common:
        print(f"{step:6} {ours:10.5f} {theirs:10.5f} {ours / theirs:8.4f}")


if __name__ == "__main__":
    main()
