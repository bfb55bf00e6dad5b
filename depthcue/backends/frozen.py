"""Frozen nets of measurements on a CPU: called as the net itself, run in a faster form with the same answers.

A measurement puts some fifty versions of every picture through one net, as normalised tensors and not as frames. On a
CPU a plain net takes three to four times as long as it could: batch norms run on their own, and batches are larger than
the caches. For enough pictures, the net is rewritten and runs in OpenVINO or, where that is not installed, in torch,
channels last. The first pictures of each size go through the net itself too, and a form with other answers is not used.
Nets of others stay as they are, and so do all nets on a GPU.
"""

import json
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from depthcue.backends.openvino_backend import configuration, has_openvino, own_signal_stack
from depthcue.backends.session import FP32
from depthcue.files import cached_file
from depthcue.nets import DepthNet, MaskNet
from depthcue.nets.exported import net_identity
from depthcue.nets.rewriting import KNOWN, VERSION, rewritten

log = logging.getLogger(__name__)

WORTH = 60
"""Number of pictures from which another form pays: it saves 20 to 30 ms of each, and takes a second to make, or three
where the graph for OpenVINO is not in the cache yet."""
AT_ONCE = 2
"""Pictures in one call: the maps of two in a lite net stay in a core's cache."""
MOST_SIZES = 4
"""Sizes of pictures that forms are made for; at any more the net runs as it is."""
AGREES = {DepthNet: 1e-5, MaskNet: 1e-3}
"""Largest difference from the net's answer, as a share of its largest value. Sums in another order change a depth by
1e-6. A mask of a share is a sigmoid at a temperature of 0.05, which turns 1e-6 in a score into 1e-5."""

Form = Callable[..., Tensor]
"""Normalised pictures (B, 3, H, W), and the dials (B,) of a mask net that has one, to what the net answers."""


class FrozenDepthNet(DepthNet):
    """A depth net in eval mode for inference alone; see `frozen_depth`."""

    differentiable = False

    def __init__(self, net: DepthNet) -> None:
        super().__init__(net.description)
        self.card = net.card
        self._forms = _Forms(net)

    def forward(self, normalised: Tensor) -> Tensor:
        return self._forms(normalised)


class FrozenMaskNet(MaskNet):
    """A mask net in eval mode for inference alone; see `frozen_mask`."""

    trainable = False

    def __init__(self, net: MaskNet) -> None:
        super().__init__(net.description)
        self.card = net.card
        self._forms = _Forms(net)

    def forward(self, normalised: Tensor, dial: Tensor | None = None) -> Tensor:
        if not self.has_dial:
            return self._forms(normalised)
        return self._forms(normalised, self.dial_of(normalised, dial).expand(len(normalised)))


def frozen_depth(net: DepthNet, pictures: int) -> DepthNet:
    """The depth net for about `pictures` pictures: itself, or a net of the same answers that is faster on this CPU.

    Args:
        net: in eval mode.
    """
    return FrozenDepthNet(net) if _pays(net, pictures) else net


def frozen_mask(net: MaskNet, pictures: int) -> MaskNet:
    """The mask net for about `pictures` pictures: itself, or a net of the same answers that is faster on this CPU.

    Args:
        net: in eval mode.
    """
    return FrozenMaskNet(net) if _pays(net, pictures) else net


def _pays(net: DepthNet | MaskNet, pictures: int) -> bool:
    return isinstance(net, KNOWN) and net.get_buffer("_mean").device.type == "cpu" and pictures >= WORTH


class _Forms:
    """For each size of pictures the form that runs them."""

    def __init__(self, net: DepthNet | MaskNet) -> None:
        self._net = net
        self._chosen: dict[tuple[int, ...], Form] = {}

    def __call__(self, normalised: Tensor, *dial: Tensor) -> Tensor:
        size = tuple(normalised.shape[2:])
        if size not in self._chosen:
            if len(self._chosen) == MOST_SIZES:
                answer: Tensor = self._net(normalised, *dial)
                return answer
            self._chosen[size] = choose_form(self._net, *(given[:AT_ONCE] for given in (normalised, *dial)))
        form = self._chosen[size]
        return torch.cat([form(*parts) for parts in zip(*(given.split(AT_ONCE) for given in (normalised, *dial)),
                                                        strict=True)])


def choose_form(net: DepthNet | MaskNet, *given: Tensor) -> Form:
    """The fastest form of a net whose answers to `given` agree with the net's own; the net itself where none does."""
    wanted = net(*given)
    limit = next(share for kind, share in AGREES.items() if isinstance(net, kind)) * float(wanted.abs().max())
    for name, form in _forms(net, [tuple(part.shape) for part in given]):
        off = float((form(*given) - wanted).abs().max())
        if off <= limit:
            log.info("%s runs in %s", net.description.name, name)
            return form
        log.info("%s in %s is off by %.2g, %.2g is allowed", net.description.name, name, off, limit)
    return net


def _forms(net: DepthNet | MaskNet, shapes: list[tuple[int, ...]]) -> Iterator[tuple[str, Form]]:
    # tensors made in inference mode could not be traced
    with torch.inference_mode(False), torch.no_grad():
        own, _ = rewritten(net)
        in_openvino = None
        if has_openvino():
            try:
                in_openvino = _in_openvino(net, own, *(torch.zeros(shape) for shape in shapes))
            except Exception as error:  # a graph that it cannot take is no reason to stop measuring
                log.info("%s does not run in OpenVINO: %s", net.description.name, error)
    if in_openvino is not None:
        yield "openvino", in_openvino
    with torch.inference_mode(False):
        in_torch = _channels_last(own)
    yield "torch, rewritten", in_torch


def _channels_last(own: nn.Module) -> Form:
    module = own.to(memory_format=torch.channels_last)

    def run(normalised: Tensor, *dial: Tensor) -> Tensor:
        with torch.no_grad():
            answer: Tensor = module(normalised.contiguous(memory_format=torch.channels_last), *dial)
            return answer.contiguous()

    return run


@own_signal_stack()
def _in_openvino(net: DepthNet | MaskNet, own: nn.Module, *example: Tensor) -> Form:
    """The net in OpenVINO, for pictures of the size of the example, in float32 and in as many threads as torch uses."""
    import openvino

    facts = json.dumps([net_identity(net), VERSION, torch.__version__, openvino.__version__,
                        [list(part.shape[1:]) for part in example]])
    path = cached_file("openvino", facts, net.description.name, ".xml")
    core = openvino.Core()
    if path.is_file():
        model = core.read_model(path)
    else:
        model = _traced(own, *example)
        _keep(model, path)
    request = core.compile_model(model, "CPU", configuration(FP32, torch.get_num_threads())).create_infer_request()

    def run(*given: Tensor) -> Tensor:
        # the pictures are not copied in; the answer is copied out, for the request's own memory is used again
        return torch.from_numpy(request.infer([part.contiguous().numpy() for part in given], share_inputs=True)[0])

    return run


def _traced(own: nn.Module, *example: Tensor) -> Any:
    """The graph that OpenVINO makes of a rewritten net, for any number of pictures of the example's size."""
    import openvino

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's, about the net's own checks of sizes
        model = openvino.convert_model(own, example_input=example)
    model.reshape({port: [-1, *part.shape[1:]] for port, part in zip(model.inputs, example, strict=True)})
    return model


def _keep(model: Any, path: Path) -> None:
    """Save the graph in the cache, where that can be written. A graph is two files; both are there, or none."""
    import openvino

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            made = Path(folder) / path.name
            openvino.save_model(model, made, compress_to_fp16=False)
            for suffix in (".bin", ".xml"):
                os.replace(made.with_suffix(suffix), path.with_suffix(suffix))
    except (OSError, RuntimeError) as error:
        log.info("%s is not kept in the cache: %s", path.name, error)
