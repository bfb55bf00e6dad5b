"""Batches for training: one random view of each frame, batched on the device, and prepared ahead in a thread.

The published policy for NYU-v2 (Hu, Zhang, Okatani, ICCV 2019, and the authors' code): flip, rotation by up to 5
degrees, the central 95%, PCA lighting 0.1 (Krizhevsky et al. 2012), colour jitter 0.4. STRONG adds what small data sets
need: zoom by s with depth divided by s (Eigen et al. 2014), crops anywhere, and more changes of colour. Flip, rotation,
zoom and crop are one sampling of the frame: bilinear (antialiased) for the picture, nearest for depth. Deviations: the
order of brightness, contrast and saturation is drawn per batch, not per picture, and the result is clamped to [0, 1].

The content of a batch depends on (seed, step, rank) alone, so a resumed run gets the batches of an unbroken one. Each
data set is a stream of shuffled passes. Step k takes the next stretch of every stream, and the ranks share that stretch
without overlap.
"""

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from queue import Empty, Full, Queue
from threading import Event, Lock, Thread

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from depthcue.data.stored import Frames, RgbdBatch, RgbdData, Size
from depthcue.errors import DepthcueError
from depthcue.imaging import LUMA

AHEAD = 2
"""Batches prepared ahead of the consumer: one ready, one in the making, so that a slow one does not stall the next."""
IMAGENET_MEAN = (0.485, 0.456, 0.406)
# eigenvalues and eigenvectors (columns) of the colours of ImageNet, as published with fb.resnet.torch
PCA_VALUES = (0.2175, 0.0188, 0.0045)
PCA_VECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
TO_YIQ = (LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))

TIE = 1e-3
"""Thousandth of a pixel by which a depth pixel that falls exactly between two stored ones takes the later one, as
Pillow does when it halves a map."""


@dataclass(frozen=True)
class Augmentation:
    """Random changes of view and colour and their ranges. The defaults change only the size: the whole frame, as it is.

    Shares are of pictures; `crop` is the side of the view as a share of the frame's, before zoom.
    """

    flip: bool = False
    rotation_deg: float = 0.0  # uniform in +- this
    crop: float = 1.0
    crop_anywhere: bool = False  # otherwise in the centre
    zoom: float = 1.0  # log-uniform from 1 to this; depth is divided by it
    lighting: float = 0.0  # standard deviation along each principal axis of colour
    brightness: float = 0.0  # factor uniform in 1 +- this
    contrast: float = 0.0
    saturation: float = 0.0
    gamma: float = 0.0  # exponent log-uniform in e^(+- this)
    hue_deg: float = 0.0  # rotation about the grey axis, uniform in +- this
    grey_share: float = 0.0
    blur_share: float = 0.0
    blur_px: float = 1.0  # largest standard deviation of the blur, in pixels of the result
    noise: float = 0.0  # largest standard deviation; each picture has its own
    erased_share: float = 0.0  # pictures with one rectangle in the data set's mean colour; its depth stays


NONE = Augmentation()
PUBLISHED = Augmentation(flip=True, rotation_deg=5.0, crop=0.95, lighting=0.1, brightness=0.4, contrast=0.4,
                         saturation=0.4)
STRONG = Augmentation(flip=True, rotation_deg=5.0, crop=0.95, crop_anywhere=True, zoom=1.2, lighting=0.1,
                      brightness=0.4, contrast=0.4, saturation=0.4, gamma=0.3, hue_deg=20.0, grey_share=0.05,
                      blur_share=0.1, blur_px=1.5, noise=0.03, erased_share=0.2)


def training_batch(frames: Frames, size: Size, depth_size: Size | None, policy: Augmentation,
                   generator: torch.Generator) -> RgbdBatch:
    """One random view of each frame at `size` (height, width), with its depth at `depth_size` (None: no depth).

    Depth that comes from outside the frame is not valid; the picture is mirrored there. All chance comes from
    `generator`, a CPU generator, whatever the device (noise on a GPU is drawn there, seeded from it).

    Raises DepthcueError if depth is needed and the frames have none.
    """
    if depth_size is not None and (frames.depth_m is None or frames.valid is None):
        raise DepthcueError("the batch needs depth, and these frames have none",
                            "Take a data set with depth, or train without depth.")
    count = frames.rgb.shape[0]
    view, zoom = _views(count, (frames.rgb.shape[-2], frames.rgb.shape[-1]), size, policy, generator)
    rgb = _sample_picture(frames.rgb, view.to(frames.rgb.device), size, policy.crop)
    rgb = recolour(rgb, policy, generator)
    if depth_size is None or frames.depth_m is None or frames.valid is None:
        return RgbdBatch(rgb, None, None, frames.names)
    depth_m, valid = _sample_depth(frames.depth_m, frames.valid, view.to(frames.depth_m.device), depth_size)
    return RgbdBatch(rgb, depth_m / zoom.to(depth_m.device)[:, None, None, None], valid, frames.names)


def recolour(rgb: torch.Tensor, policy: Augmentation, generator: torch.Generator) -> torch.Tensor:
    """Random light, colour, blur, noise and erasing for pictures (B, 3, H, W) in [0, 1]; the result is in [0, 1]."""
    draws = torch.rand(rgb.shape[0], 16, generator=generator).to(rgb.device)  # (B, 16), each column for one use
    lighting = torch.randn(rgb.shape[0], 3, generator=generator).to(rgb.device)
    order = torch.randperm(3, generator=generator).tolist()
    if policy.gamma:
        rgb = rgb.clamp(1e-6, 1) ** _per_picture(torch.exp(policy.gamma * (2 * draws[:, 0] - 1)))
    if policy.hue_deg:
        rgb = torch.einsum("bij,bjhw->bihw", hue_rotation(torch.deg2rad(policy.hue_deg * (2 * draws[:, 1] - 1))), rgb)
    if policy.lighting:
        rgb = rgb + pca_light(policy.lighting * lighting)[:, :, None, None]
    for adjustment in order:
        strength = (policy.brightness, policy.contrast, policy.saturation)[adjustment]
        if strength:
            factor = _per_picture(1 + strength * (2 * draws[:, 2 + adjustment] - 1))
            rgb = (1 - factor) * _faded(rgb, adjustment) + factor * rgb
    if policy.grey_share:
        rgb = torch.where(_per_picture(draws[:, 5] < policy.grey_share), grey(rgb), rgb)
    if policy.blur_share:
        chosen = (draws[:, 6] < policy.blur_share).nonzero()[:, 0]
        if len(chosen):
            rgb = rgb.index_copy(0, chosen, blur(rgb[chosen], policy.blur_px * draws[chosen, 7].clamp(min=0.05)))
    if policy.noise:
        rgb = rgb + _per_picture(policy.noise * draws[:, 8]) * _normal_like(rgb, generator)
    if policy.erased_share:
        mean = rgb.new_tensor(IMAGENET_MEAN)[:, None, None]
        rgb = torch.where(_rectangles(rgb, draws, policy.erased_share), mean, rgb)
    return rgb.clamp(0, 1)


def pca_light(weights: torch.Tensor) -> torch.Tensor:
    """The colour (B, 3) to add for weights (B, 3) along the principal axes of ImageNet's colours."""
    return (weights * weights.new_tensor(PCA_VALUES)) @ weights.new_tensor(PCA_VECTORS).T


def grey(rgb: torch.Tensor) -> torch.Tensor:
    """Luma (B, 1, H, W) repeated in three channels."""
    return (rgb * rgb.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True).expand_as(rgb)


def hue_rotation(angle_rad: torch.Tensor) -> torch.Tensor:
    """Colour matrices (B, 3, 3) that turn hue by angles (B,) in YIQ, which keeps luma and every grey."""
    to_yiq = angle_rad.new_tensor(TO_YIQ)
    cosine, sine, zero, one = angle_rad.cos(), angle_rad.sin(), torch.zeros_like(angle_rad), torch.ones_like(angle_rad)
    turn = torch.stack([one, zero, zero, zero, cosine, -sine, zero, sine, cosine], dim=1).view(-1, 3, 3)
    return torch.linalg.inv(to_yiq) @ turn @ to_yiq


def gaussian_kernel(sigma_px: torch.Tensor, radius: int) -> torch.Tensor:
    """Gaussian weights of deviations (...), in pixels, that sum to 1: (..., 2 * radius + 1)."""
    offsets = torch.arange(-radius, radius + 1, device=sigma_px.device)
    kernel = torch.exp(-0.5 * (offsets / sigma_px[..., None]) ** 2)
    return kernel / kernel.sum(-1, keepdim=True)


def blur(rgb: torch.Tensor, sigma_px: torch.Tensor) -> torch.Tensor:
    """Gaussian blur of pictures (B, 3, H, W), each with its own sigma (B,) in pixels."""
    count, channels, height, width = rgb.shape
    radius = min(max(1, math.ceil(2.5 * float(sigma_px.max()))), height - 1, width - 1)
    kernel = gaussian_kernel(sigma_px, radius).repeat_interleave(channels, 0)[:, None]  # (B*3, 1, taps)
    flat = F.pad(rgb.reshape(1, count * channels, height, width), (radius,) * 4, mode="reflect")
    flat = F.conv2d(flat, kernel[:, :, :, None], groups=count * channels)
    return F.conv2d(flat, kernel[:, :, None, :], groups=count * channels).view_as(rgb)


def _views(count: int, frame_size: Size, size: Size, policy: Augmentation, generator: torch.Generator,
           ) -> tuple[torch.Tensor, torch.Tensor]:
    """The affine maps (B, 2, 3) from the result's coordinates in [-1, 1] to the frame's, and the zooms (B,)."""
    draws = torch.rand(count, 5, generator=generator)
    mirror = torch.where(draws[:, 0] < 0.5, -1.0, 1.0) if policy.flip else torch.ones(count)
    angle = torch.deg2rad(policy.rotation_deg * (2 * draws[:, 1] - 1))
    zoom = torch.exp(draws[:, 2] * math.log(policy.zoom))
    height, width = frame_size
    box = policy.crop * min(height / size[0], width / size[1]) / zoom  # frame pixels per pixel of the result
    half_height, half_width = box * size[0] / 2, box * size[1] / 2
    if policy.crop_anywhere:
        shift_y = (2 * draws[:, 3] - 1) * (height / 2 - half_height)
        shift_x = (2 * draws[:, 4] - 1) * (width / 2 - half_width)
    else:
        shift_y = shift_x = torch.zeros(count)
    # result coordinates -> frame pixels from the centre (scaled, mirrored, turned, shifted) -> frame coordinates
    cosine, sine = angle.cos(), angle.sin()
    along_x = torch.stack([cosine * half_width * mirror, -sine * half_height, shift_x], dim=1) / (width / 2)
    along_y = torch.stack([sine * half_width * mirror, cosine * half_height, shift_y], dim=1) / (height / 2)
    return torch.stack([along_x, along_y], dim=1), zoom


def _sample_picture(rgb: torch.Tensor, view: torch.Tensor, size: Size, crop: float) -> torch.Tensor:
    """The views (B, 2, 3) of pictures (B, 3, H, W) uint8 at `size`, antialiased: float32 in [0, 1]."""
    pictures = rgb.float() / 255
    height, width = pictures.shape[-2:]
    shrink = crop * min(height / size[0], width / size[1])
    if shrink > 2:  # far larger frames are first brought to twice the result, where sampling twice as fine is enough
        pictures = F.interpolate(pictures, (math.ceil(height * 2 / shrink), math.ceil(width * 2 / shrink)),
                                 mode="bilinear", antialias=True, align_corners=False)
    finer = 2 if shrink > 1.1 else 1
    grid = F.affine_grid(view, [pictures.shape[0], 3, size[0] * finer, size[1] * finer], align_corners=False)
    sampled = F.grid_sample(pictures, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return F.avg_pool2d(sampled, finer) if finer > 1 else sampled


def _sample_depth(depth_m: torch.Tensor, valid: torch.Tensor, view: torch.Tensor, size: Size,
                  ) -> tuple[torch.Tensor, torch.Tensor]:
    grid = F.affine_grid(view, [depth_m.shape[0], 1, *size], align_corners=False)  # (B, h, w, 2), x then y
    height, width = depth_m.shape[-2:]
    inside = (grid.abs() <= 1).all(-1)[:, None]
    column = ((grid[..., 0] + 1) * (width / 2) + TIE).floor().long().clamp(0, width - 1)
    row = ((grid[..., 1] + 1) * (height / 2) + TIE).floor().long().clamp(0, height - 1)
    columns = (row * width + column).flatten(1)  # (B, h*w)
    sampled = depth_m.flatten(1).gather(1, columns).view(-1, 1, *size)
    sampled_valid = valid.flatten(1).gather(1, columns).view(-1, 1, *size) & inside
    return torch.where(sampled_valid | (inside & sampled.isinf()), sampled, 0.0), sampled_valid


def _faded(rgb: torch.Tensor, adjustment: int) -> torch.Tensor:
    """The map that a picture is mixed with for brightness (0), contrast (1) and saturation (2): black, mean grey, own
    grey."""
    if adjustment == 0:
        return torch.zeros_like(rgb)
    return grey(rgb).mean((2, 3), keepdim=True) if adjustment == 1 else grey(rgb)


def _per_picture(values: torch.Tensor) -> torch.Tensor:
    return values[:, None, None, None]


def _normal_like(rgb: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    if rgb.device.type == "cpu":
        return torch.randn(rgb.shape, generator=generator)
    seed = int(torch.randint(2**62, (1,), generator=generator))
    return torch.randn(rgb.shape, generator=torch.Generator(rgb.device).manual_seed(seed), device=rgb.device)


def _rectangles(rgb: torch.Tensor, draws: torch.Tensor, share: float) -> torch.Tensor:
    """Regions to erase, bool (B, 1, H, W): one rectangle, 10 to 40% of each side, in `share` of the pictures."""
    inside = _per_picture(draws[:, 9] < share)
    for axis, length in ((2, rgb.shape[2]), (3, rgb.shape[3])):
        extent = 0.1 + 0.3 * draws[:, 8 + axis]  # columns 10, 11
        start = draws[:, 10 + axis] * (1 - extent)  # columns 12, 13
        columns = (torch.arange(length, device=rgb.device) + 0.5) / length
        along = (columns >= start[:, None]) & (columns < (start + extent)[:, None])  # (B, length)
        inside = inside & (along[:, None, :, None] if axis == 2 else along[:, None, None, :])
    return inside


class BatchLoader:
    """Augmented batches of `batch_size` pictures (per rank), in equal parts from each data set.

    `size` is the pictures' (height, width); `depth_size` the depths', or None for training without depth. Where
    `batch_size` does not divide evenly, the first data sets give one more. Of the last `unlabelled` data sets the
    pictures alone are taken: in a batch with depth theirs is 0 and not valid. `labelled` is the number of pictures of a
    batch that come before theirs. `epoch_length` is the number of steps in which the data set that takes longest is
    seen once.
    """

    def __init__(self, datasets: Sequence[RgbdData], batch_size: int, size: Size, depth_size: Size | None,
                 policy: Augmentation, seed: int, rank: int = 0, world_size: int = 1,
                 device: torch.device | str = "cpu", unlabelled: int = 0) -> None:
        if not datasets or batch_size < len(datasets):
            each = f", a picture from each of {len(datasets)} data sets" if len(datasets) > 1 else ""
            raise DepthcueError(f"--batch-size must be at least {max(len(datasets), 1)}{each}, got {batch_size}",
                                "Give a larger batch.")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} of {world_size}")
        with_depth = len(datasets) - unlabelled
        for data in datasets[:with_depth]:
            if depth_size is not None and not data.has_depth:
                raise DepthcueError(f"{data.spec} has no depth, and this training needs it",
                                    "Take a data set with depth: scenes:indoor, nyu:PATH, kitti:PATH.")
        self.datasets = list(datasets)
        self.size = size
        self.depth_size = depth_size
        self.policy = policy
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.device = torch.device(device)
        self._parts = [batch_size // len(datasets) + (position < batch_size % len(datasets))
                       for position in range(len(datasets))]
        self._with_depth = with_depth
        self.labelled = sum(self._parts[:with_depth])
        self.epoch_length = max(math.ceil(len(data) / (part * world_size))
                                for data, part in zip(self.datasets, self._parts, strict=True))
        self._passes: dict[int, tuple[int, npt.NDArray[np.int64]]] = {}
        self._lock = Lock()

    def indices(self, step: int) -> list[list[int]]:
        """Indices of the frames of each data set in this rank's batch of `step`."""
        chosen = []
        for number, (data, part) in enumerate(zip(self.datasets, self._parts, strict=True)):
            start = (step * self.world_size + self.rank) * part
            chosen.append([self._at(number, len(data), position) for position in range(start, start + part)])
        return chosen

    def batch(self, step: int) -> RgbdBatch:
        """The batch of `step` (from 0): a pure function of the seed, the step and the rank."""
        parts = []
        for number, (data, indices) in enumerate(zip(self.datasets, self.indices(step), strict=True)):
            generator = torch.Generator().manual_seed(_seed(self.seed, 1, step, self.rank, number))
            frames = data.frames(indices, self.device)
            depth_size = self.depth_size if number < self._with_depth else None
            parts.append(training_batch(frames, self.size, depth_size, self.policy, generator))
        if self.depth_size is not None:
            parts = [_without_depth(part, self.depth_size) for part in parts]
        return parts[0] if len(parts) == 1 else _joined(parts)

    def batches(self, start_step: int = 0, stop_step: int | None = None) -> Generator[RgbdBatch, None, None]:
        """The batches from `start_step` up to `stop_step` (None: for ever), prepared ahead by a background thread.

        What goes wrong there is raised here. Closing the iterator, or leaving it to the garbage collector, ends the
        thread.
        """
        queue: Queue[RgbdBatch | BaseException | None] = Queue(AHEAD - 1)
        stop = Event()
        thread = Thread(target=self._prepare, args=(start_step, stop_step, queue, stop), name="batches", daemon=True)
        thread.start()
        try:
            while (item := queue.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            stop.set()
            while thread.is_alive():
                try:
                    queue.get_nowait()
                except Empty:
                    thread.join(0.01)

    def _prepare(self, step: int, stop_step: int | None, queue: "Queue[RgbdBatch | BaseException | None]",
                 stop: Event) -> None:
        item: RgbdBatch | BaseException | None
        while not stop.is_set():
            try:
                item = None if stop_step is not None and step >= stop_step else self.batch(step)
            except BaseException as error:
                item = error
            while not stop.is_set():
                try:
                    queue.put(item, timeout=0.1)
                    break
                except Full:
                    continue
            if not isinstance(item, RgbdBatch):
                return
            step += 1

    def _at(self, number: int, count: int, position: int) -> int:
        """The frame at a position of a data set's endless stream: pass after pass, each in an order of its own."""
        turn, offset = divmod(position, count)
        with self._lock:
            held = self._passes.get(number)
            if held is None or held[0] != turn:
                held = turn, np.random.default_rng(_seed(self.seed, 0, turn, number)).permutation(count)
                self._passes[number] = held
            return int(held[1][offset])


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


def _without_depth(part: RgbdBatch, size: Size) -> RgbdBatch:
    """A batch with depth as it is; one without, with depth that is nowhere valid."""
    if part.depth_m is not None:
        return part
    unknown = torch.zeros(len(part.names), 1, *size, device=part.rgb.device)
    return RgbdBatch(part.rgb, unknown, unknown > 0, part.names)


def _joined(parts: Sequence[RgbdBatch]) -> RgbdBatch:
    depths = [part.depth_m for part in parts if part.depth_m is not None]
    valids = [part.valid for part in parts if part.valid is not None]
    return RgbdBatch(torch.cat([part.rgb for part in parts]), torch.cat(depths) if depths else None,
                     torch.cat(valids) if valids else None, [name for part in parts for name in part.names])
