"""Tokens of `ksom encode SHARDS -o tokens/ --size WxH` as a PyTorch Dataset. Needs pyarrow, numpy and torch."""

import numpy
import pyarrow.dataset
import torch


class Tokens(torch.utils.data.Dataset):
    def __init__(self, folder):
        files = sorted(pyarrow.dataset.dataset(folder, format="parquet", exclude_invalid_files=True).files)
        table = pyarrow.dataset.dataset(files).to_table(columns=["codes", "height", "width", "label"])
        shape = (len(table), table["height"][0].as_py(), table["width"][0].as_py())
        flat = table["codes"].combine_chunks().flatten().flatten().to_numpy()
        self.codes, self.labels = flat.reshape(shape).astype(numpy.int64), table["label"].to_numpy()

    def __len__(self):
        return len(self.codes)

    def __getitem__(self, index):
        return torch.from_numpy(self.codes[index]), int(self.labels[index])
