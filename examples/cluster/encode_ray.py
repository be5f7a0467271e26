"""Encodes shards on a Ray cluster: a task for each. `python encode_ray.py KSOM TOKENS SHARD...`"""

import subprocess
import sys

import ray

ksom, tokens, *shards = sys.argv[1:]


@ray.remote(num_cpus=1, max_retries=3)
def encode(shard):
    command = [ksom, "encode", shard, "-o", tokens, "--model", "cifar10-ksom", "--part", "0/1", "--quiet"]
    return subprocess.run(command, env={"RAYON_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}, check=True).returncode


ray.init(log_to_driver=False)
print(len(ray.get([encode.remote(shard) for shard in shards])), "shards")
