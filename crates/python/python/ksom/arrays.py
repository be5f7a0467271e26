"""Arrays of any library → NumPy's, without a copy where possible."""
from __future__ import annotations

from typing import Any, Dict, Tuple

import numpy as np

from ksom.errors import InvalidError

#: An array on its way to the native half, or from there: its shape, and its numbers in a row.
Given = Tuple[Tuple[int, ...], bytes]
Made = Tuple[Any, bytearray]


def given(array: np.ndarray) -> Given:
    """An array for the native half."""
    return array.shape, array.tobytes()


def made(native: Made, dtype: Any) -> np.ndarray:
    """An array of the native half, without a copy."""
    shape, numbers = native
    return np.frombuffer(numbers, dtype).reshape(shape)


def given_state(state: Dict[str, np.ndarray]) -> Dict[str, Given]:
    """Named tensors for the native half, as float32."""
    return {name: given(np.asarray(array, np.float32)) for name, array in state.items()}


def made_state(native: Dict[str, Made]) -> Dict[str, np.ndarray]:
    """Named tensors of the native half, float32."""
    return {name: made(array, np.float32) for name, array in native.items()}


def to_numpy(value: Any) -> np.ndarray:
    """NumPy's arrays as they are; others (torch, JAX, CuPy …) by DLPack."""
    if isinstance(value, np.ndarray):
        return value
    if not hasattr(value, "__dlpack__"):
        return np.asarray(value)
    if hasattr(value, "detach"):  # torch: what needs a gradient is not given away
        value = value.detach()
    try:
        return np.from_dlpack(value)
    except (BufferError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        if hasattr(value, "numpy"):  # types that DLPack does not have
            try:
                return np.asarray(value.numpy())
            except Exception:  # the first error says more
                pass
        raise InvalidError(f"this {type(value).__name__} cannot be read ({error}): move it to the CPU first") from error


def is_tensor(value: Any) -> bool:
    """Whether it is one of torch's."""
    return type(value).__module__.split(".")[0] == "torch" and hasattr(value, "detach")


def like(array: np.ndarray, example: Any) -> Any:
    """The array as a tensor where the example is one of torch's, sharing its memory."""
    if not is_tensor(example):
        return array
    import torch

    return torch.from_numpy(array).to(example.device)


def whole_numbers(value: Any, what: str) -> np.ndarray:
    """Codes of any integer type → int64."""
    array = to_numpy(value)
    if array.dtype.kind not in "iu":
        raise InvalidError(f"{what} are whole numbers, found {array.dtype}")
    return np.asarray(array, np.int64)


def numbers(value: Any) -> np.ndarray:
    """Numbers of any floating-point type → float32."""
    array = to_numpy(value)
    if array.dtype.kind != "f":
        raise InvalidError(f"vectors are floating-point numbers, found {array.dtype}")
    return np.asarray(array, np.float32)
