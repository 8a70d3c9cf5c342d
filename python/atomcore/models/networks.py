"""Feed-forward networks with seeded starting weights."""

import functools
import math
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "silu": torch.nn.functional.silu,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "celu": torch.nn.functional.celu,
    "sigmoid": torch.sigmoid,
    # By default torch takes x itself from 20 on, which is 2e-9 too little.
    "softplus": functools.partial(torch.nn.functional.softplus, threshold=40.0),
}


class Network(torch.nn.Module):
    """Dense layers from ``n_inputs`` numbers to one, an activation after all but the last.

    Parameters
    ----------
    n_inputs : int
    hidden : sequence of int
        Widths of the hidden layers.
    activation : str
        One of `ACTIVATIONS`.
    generator : torch.Generator
        Source of the starting weights: normal with variance 1/n_in, so that inputs of unit variance stay of that size;
        biases start at zero.
    normalized : bool
        Divide each atom's inputs by their length first.
    """

    def __init__(
        self,
        n_inputs: int,
        hidden: Sequence[int],
        activation: str,
        generator: torch.Generator,
        *,
        normalized: bool = False,
    ) -> None:
        super().__init__()
        self._normalized = normalized
        widths = [n_inputs, *hidden, 1]
        with warnings.catch_warnings():  # an element none of whose features vary has a network without inputs
            warnings.filterwarnings("ignore", "Initializing zero-element tensors")
            # Drawn in single precision whatever torch's default is: a seed is to mean the same everywhere.
            layers = [torch.nn.Linear(a, b, dtype=torch.float32) for a, b in pairwise(widths)]
        self.layers = torch.nn.ModuleList(layers)
        self._activation = ACTIVATIONS[activation]
        with torch.no_grad():
            for layer in layers:
                layer.weight.normal_(0.0, 1.0 / math.sqrt(max(layer.in_features, 1)), generator=generator)
                layer.bias.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map inputs [M, n_inputs] to [M]."""
        return self.layers[-1](self.last_hidden(x)).squeeze(1)

    def last_hidden(self, x: torch.Tensor) -> torch.Tensor:
        """Map inputs [M, n_inputs] to what the output layer sees [M, width of the last hidden layer]."""
        if self._normalized:
            square = x.square().sum(dim=1, keepdim=True)
            x = x * torch.where(square > 0, square, 1.0).rsqrt()
        for layer in self.layers[:-1]:
            x = self._activation(layer(x))
        return x
