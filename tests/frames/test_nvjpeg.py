"""JPEG files on a GPU: what goes there, what stays on the CPU, what a missing GPU says; a fake in nvJPEG's place."""

import io

import numpy as np
import pytest
import torch
import torchvision.io
from numbered_frames import numbered_picture
from PIL import Image

from depthcue.errors import DepthcueError
from depthcue.frames import find_inputs, load_picture, open_input
from depthcue.frames.pictures import check_nvjpeg


@pytest.fixture
def gpu(monkeypatch):
    """Decodes on the CPU in nvJPEG's place and counts the pictures; `fails` makes it refuse them."""
    class Fake:
        decoded, fails = 0, False

        def decode_jpeg(self, content, mode, device):
            assert (mode, device) == (torchvision.io.ImageReadMode.RGB, "cuda")
            if self.fails:
                raise RuntimeError("unsupported JPEG")
            self.decoded += 1
            return torch.from_numpy(np.array(Image.open(io.BytesIO(content.numpy())).convert("RGB"))).permute(2, 0, 1)

    fake = Fake()
    monkeypatch.setattr(torchvision.io, "decode_jpeg", fake.decode_jpeg)
    return fake


def saved(path, mode="RGB", **options):
    Image.fromarray(numbered_picture(3, 48, 64)).convert(mode).save(path, **options)
    return path


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_usual_files_are_decoded_there(gpu, tmp_path, mode):
    path = saved(tmp_path / "a.jpg", mode)
    rgb = load_picture(path, "gpu").rgb
    assert gpu.decoded == 1 and rgb.flags.c_contiguous
    assert (rgb == load_picture(path).rgb).all() and gpu.decoded == 1


def test_sources_pass_the_decoder_on(gpu, tmp_path):
    for number in range(3):
        saved(tmp_path / f"f_{number}.jpg")
    for source, count in ((tmp_path / "f_0.jpg", 1), (tmp_path / "f_%d.jpg", 4)):
        with open_input(find_inputs([str(source)])[0], decoder="gpu") as frames:
            list(frames)
        assert gpu.decoded == count


def test_others_stay_on_the_cpu_and_come_out_the_same(gpu, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for path in (saved(tmp_path / "a.png"), saved(tmp_path / "ink.jpg", "CMYK"),
                 saved(tmp_path / "turned.jpg", exif=exif)):
        assert (load_picture(path, "gpu").rgb == load_picture(path).rgb).all()
    assert gpu.decoded == 0


def test_what_it_does_not_know_goes_to_the_cpu(gpu, tmp_path):
    gpu.fails = True
    path = saved(tmp_path / "a.jpg")
    assert (load_picture(path, "gpu").rgb == load_picture(path).rgb).all()


def test_a_cut_off_file_is_an_error_all_the_same(gpu, tmp_path):
    path = tmp_path / "cut.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(DepthcueError, match="cut.jpg cannot be decoded"):
        load_picture(path, "gpu")
    assert gpu.decoded == 0


def test_a_missing_gpu_is_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DepthcueError, match="no GPU here decodes JPEG(?s:.*)doctor"):
        check_nvjpeg()


@pytest.mark.gpu
def test_the_gpu_gives_the_same_picture_to_a_few_levels(shared_data):
    path = shared_data / "nyu2" / "test" / "00000.jpg"
    difference = np.abs(load_picture(path, "gpu").rgb.astype(int) - load_picture(path).rgb)
    assert 0 < difference.mean() < 2, "decoded by the same library?"
