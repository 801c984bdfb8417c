"""A model under attack must stay what it was: evaluation mode, no weight gradients, no updated statistics."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from facefort.errors import ModelError


@contextlib.contextmanager
def frozen(model: nn.Module, name: str) -> Iterator[None]:
    """Hold a model in evaluation mode with frozen parameters, give its flags back, and prove that nothing moved.

    Values are compared by the sum of their bits: kernels that update statistics leave no trace in torch's version
    counters, and copies of all weights would double the memory.

    Raises:
        ModelError: a parameter, a buffer or a module's mode changed inside the block.
    """
    training = {module: module.training for module in model.modules()}
    trainable = {parameter: parameter.requires_grad for parameter in model.parameters()}
    model.eval().requires_grad_(False)
    before = _fingerprint(model)
    try:
        yield
        after = _fingerprint(model)
        changed = [key for key in {**before, **after} if before.get(key) != after.get(key)]
        changed += [key or "the model" for key, module in model.named_modules() if module.training]
        if changed:
            raise ModelError(
                f"{name} changes its state while it restores ({changed[0]}); an attack on it proves nothing, "
                "make its forward pass free of updates"
            )
    finally:
        for module, mode in training.items():
            module.training = mode
        for parameter, flag in trainable.items():
            parameter.requires_grad_(flag)


def _fingerprint(model: nn.Module) -> dict[str, tuple[torch.Size, int]]:
    """Shape and sum of bits of every parameter and buffer."""
    found = {}
    for key, value in [*model.named_parameters(), *model.named_buffers()]:
        bits = value.detach().view(_INTEGERS[value.element_size()])
        found[key] = (value.shape, int(bits.sum(dtype=torch.int64)))
    return found


_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
