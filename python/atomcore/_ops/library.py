"""Registration and argument checks that all operators share."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

# Kept for the life of the process: operators are unregistered when their library is collected.
LIBRARY = torch.library.Library("atomcore", "DEF")

FLOATS = (torch.float32, torch.float64)


def define(schema: str, implementation: Callable[..., Any], fake: Callable[..., Any]) -> None:
    """Define the operator of ``schema`` with its CPU implementation and its shape function."""
    name = schema.split("(", 1)[0]
    LIBRARY.define(schema)
    LIBRARY.impl(name, implementation, "CPU")
    torch.library.register_fake(f"atomcore::{name}", functools.partial(_on_one_device, name, fake), lib=LIBRARY)


def _on_one_device(name: str, fake: Callable[..., Any], *arguments: Any) -> Any:
    """Call a shape function; with a meta tensor among others torch would take its empty result for the value."""
    devices = sorted({argument.device.type for argument in arguments if isinstance(argument, torch.Tensor)})
    if len(devices) > 1:
        raise ValueError(f"{name} got tensors on {' and '.join(devices)}; accepted: all on the CPU")
    return fake(*arguments)


def differentiate(name: str, inputs: tuple[int, ...], backward: Callable[..., Any], saved: Callable[..., Any]) -> None:
    """Give an operator a gradient in the arguments at the positions ``inputs``; others that require one are refused.

    ``saved`` (ctx, inputs, output) keeps what ``backward`` (ctx, grad) needs.
    """

    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        for position, needed in enumerate(ctx.needs_input_grad):
            if needed and position not in differentiable:
                raise RuntimeError(f"atomcore: {name} has no gradient in its argument {position}; detach it")
        saved(ctx, inputs, output)

    differentiable = inputs
    torch.library.register_autograd(f"atomcore::{name}", backward, setup_context=setup_context, lib=LIBRARY)


def array(name: str, tensor: torch.Tensor, dtypes: tuple[torch.dtype, ...], *shape: int | None) -> np.ndarray:
    """Return the tensor's memory as a C-contiguous array after checking type, device and shape (None: any)."""
    if tensor.dtype not in dtypes:
        accepted = ", ".join(str(dtype) for dtype in dtypes)
        raise TypeError(f"{name} has dtype {tensor.dtype}; accepted: {accepted}")
    if tensor.device.type != "cpu":
        raise ValueError(f"{name} is on {tensor.device}; accepted: a tensor on the CPU")
    if len(tensor.shape) != len(shape) or any(
        n is not None and n != m for n, m in zip(shape, tensor.shape, strict=True)
    ):
        expected = tuple("any" if n is None else n for n in shape)
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}; accepted: {expected}")
    # By now torch.func has taken the tangents away; that a forward-mode level is open is all that there is to see.
    if getattr(torch.autograd.forward_ad, "_current_level", -1) >= 0:
        raise RuntimeError(
            f"atomcore: {name} is used in forward mode, whose tangents torch would drop; use features_jvp"
        )
    return tensor.detach().contiguous().numpy()


def ints(name: str, tensor: torch.Tensor, *shape: int | None) -> np.ndarray:
    """Return an int64 tensor's memory."""
    return array(name, tensor, (torch.int64,), *shape)


def threads() -> int:
    """Return the number of threads, which is torch's own."""
    return torch.get_num_threads()
