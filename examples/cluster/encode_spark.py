"""Encodes shards on a Spark cluster: a map over their names. `spark-submit encode_spark.py KSOM TOKENS SHARD...`"""

import subprocess
import sys

from pyspark.sql import SparkSession

ksom, tokens, *shards = sys.argv[1:]


def encode(shard):
    command = [ksom, "encode", shard, "-o", tokens, "--model", "cifar10-ksom", "--part", "0/1", "--quiet"]
    return subprocess.run(command, env={"RAYON_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}, check=True).returncode


spark = SparkSession.builder.appName("tokens").getOrCreate()
print(spark.sparkContext.parallelize(shards, len(shards)).map(encode).count(), "shards")
