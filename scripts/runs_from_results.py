"""Makes an experiment's run folders from the results that were kept of it, so that `ksom experiment` computes its tables and
curves anew without training, and trains the runs that are missing: what was validated (runs.csv, perplexities to three
decimals) and how runs ended (results.json).

    python scripts/runs_from_results.py docs/paper runs/again
    ksom experiment experiments/cifar10-cpu.toml --data folder:cifar10-jpeg --out runs/again
"""

import csv
import json
import sys
from pathlib import Path

kept, out = map(Path, sys.argv[1:])
results = json.loads((kept / "results.json").read_text())
level_names = {c["name"]: [level["level"] for level in c["levels"]] for c in results["configurations"]}
logs = {}
for row in csv.DictReader((kept / "runs.csv").open()):
    figures = zip(level_names[row["configuration"]], row["codes_in_use"].split("/"), row["perplexity"].split("/"))
    levels = [{"name": n, "codes_in_use": float(c), "perplexity": float(p)} for n, c, p in figures]
    mse = float(row["mse"])
    line = {"kind": "valid", "step": int(row["step"]), "mse": mse, "sets": [["kept", {"mse": mse, "levels": levels}]]}
    logs.setdefault((row["configuration"], row["seed"]), []).append(json.dumps(line) + "\n")
config = json.loads((Path(__file__).parent.parent / "models/cifar10-ksom/config.json").read_text())
config["provenance"] = {"data": results["data"]}
for configuration in results["configurations"]:
    for run in configuration["runs"]:
        if run["outcome"] is None:
            continue
        folder = out / configuration["name"] / f"seed-{run['seed']}"
        folder.mkdir(parents=True)
        (folder / "metrics.jsonl").write_text("".join(logs[configuration["name"], str(run["seed"])]))
        (folder / "outcome.json").write_text(json.dumps(run["outcome"]))
        (folder / "config.json").write_text(json.dumps(config))
