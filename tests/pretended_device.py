"""A second device for machines without one: the CPU computes, and a mix of devices is refused as a GPU refuses it.

``pytest --pretended-device tests/studies tests/stages`` puts models on it where a GPU would be. It finds tensors that were made
on the host and never moved, and knows nothing of kernels, streams or graphs. What torch offers its own devices alone cannot run
on it: autocast (training an autoencoder), counted FLOPs, files read straight onto a device, and shapes changed in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "pretended"
_setup_privateuseone_for_python_backend(NAME)
DEVICE = torch.device(NAME, 0)

aten = torch.ops.aten
COPIES = (aten.to, aten._to_copy, aten.copy_)  # the operators that may read one device and write another
INDEXING = (aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_)  # these take indices from the host


class DeviceTensor(Tensor):
    """A tensor of the pretended device.

    Attributes:
        held: the same numbers on the host.
    """

    held: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, held: Tensor) -> DeviceTensor:
        made: DeviceTensor = Tensor._make_wrapper_subclass(
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype, device=DEVICE
        )
        made.held = held
        return made

    def tolist(self) -> Any:
        """Return the numbers; torch's own reads memory that is not there."""
        return self.held.tolist()

    def __repr__(self) -> str:  # type: ignore[override]
        return f"{self.held!r} on {DEVICE}"

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, operator: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _run(operator, args, kwargs or {})


def _run(operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run an operator on the host, after a look at where its arguments are."""
    flat, spec = tree_flatten((args, kwargs))
    asked = next((value for value in flat if isinstance(value, torch.device)), None)
    here = any(isinstance(value, DeviceTensor) for value in flat) if asked is None else asked.type == NAME
    if operator.overloadpacket not in COPIES:
        _refuse_a_mix(operator, args, flat)
    owners = {id(value.held): value for value in flat if isinstance(value, DeviceTensor)}
    plain = [_on_host(value) for value in flat]
    args, kwargs = tree_unflatten(plain, spec)
    with torch.inference_mode(mode=False):  # a tensor that is held may be read in either mode
        made = operator(*args, **kwargs)

    def returned(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if operator is aten.copy_.default:
            return owners.get(id(value), value)
        if here and id(value) in owners and owners[id(value)].shape == value.shape:  # another shape: squeeze_ and its like
            return owners[id(value)]
        own = value.clone() if any(value is given for given in plain) else value  # to another device: numbers of its own
        return DeviceTensor(own) if here else own

    return tree_map(returned, made)


def _on_host(value: Any) -> Any:
    if isinstance(value, DeviceTensor):
        return value.held
    return torch.device("cpu") if isinstance(value, torch.device) else value


def _refuse_a_mix(operator: Any, args: tuple[Any, ...], flat: Sequence[Any]) -> None:
    """Raise what torch raises on a GPU; a number without axes may come from the host."""
    indexing = operator.overloadpacket in INDEXING
    read = [args[0], *args[2:3]] if indexing else flat
    strangers = [x for x in read if isinstance(x, Tensor) and not isinstance(x, DeviceTensor) and (x.ndim or x is args[0])]
    if strangers and any(isinstance(value, DeviceTensor) for value in flat):
        shape = tuple(strangers[0].shape)
        raise RuntimeError(f"Expected all tensors to be on the same device, but found {DEVICE} and cpu ({shape}, {operator})")


def _empty(size: Sequence[int], *, dtype: torch.dtype | None = None, **_: Any) -> Tensor:
    return DeviceTensor(torch.empty(size, dtype=dtype))


def _empty_strided(size: Sequence[int], stride: Sequence[int], *, dtype: torch.dtype | None = None, **_: Any) -> Tensor:
    return DeviceTensor(torch.empty_strided(size, stride, dtype=dtype))


def _copy_from(source: Tensor, target: Tensor, _non_blocking: bool = False) -> Tensor:
    _on_host(target).copy_(_on_host(source))
    return target


LIBRARY = torch.library.Library("aten", "IMPL")  # type: ignore[no-untyped-call]
for _operator, _kernel in (("empty.memory_format", _empty), ("empty_strided", _empty_strided), ("_copy_from", _copy_from)):
    LIBRARY.impl(_operator, _kernel, "PrivateUse1")  # type: ignore[no-untyped-call]
