"""Prints the validation losses of a ksom run beside those of scripts/train_pytorch.py, and their ratio.

    python scripts/compare_losses.py RUN/metrics.jsonl pytorch.jsonl
"""

import json
import sys
from pathlib import Path


def lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    ours = {line["step"]: line["mse"] for line in lines(sys.argv[1]) if line["kind"] == "valid"}
    theirs = {line["step"]: line["validation"] for line in lines(sys.argv[2]) if "validation" in line}
    common = sorted(ours.keys() & theirs.keys())
    if not common:
        sys.exit("no step was validated by both")
    print(f"{'step':>6} {'ksom':>10} {'PyTorch':>10} {'ratio':>8}")
    for step in common:
        print(f"{step:6} {ours[step]:10.5f} {theirs[step]:10.5f} {ours[step] / theirs[step]:8.4f}")


if __name__ == "__main__":
    main()
