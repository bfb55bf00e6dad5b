"""Depth models of transformers: tiny random ones, saved to a folder as anyone's are."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

transformers = pytest.importorskip("transformers", reason="transformers is not installed (extra hf)")

DINO = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32, "image_size": 56,
        "patch_size": 14, "out_features": ["stage1", "stage2", "stage3", "stage4"], "apply_layernorm": True,
        "reshape_hidden_states": False}
NECK = {"neck_hidden_sizes": [4, 4, 8, 8], "fusion_hidden_size": 8}


def depth_anything(**config: Any) -> tuple[nn.Module, Any]:
    model = transformers.DepthAnythingForDepthEstimation(transformers.DepthAnythingConfig(
        backbone_config=transformers.Dinov2Config(**DINO), reassemble_hidden_size=16, head_hidden_size=8,
        patch_size=14, **NECK, **config))
    return model, transformers.DPTImageProcessor(size={"height": 56, "width": 56}, ensure_multiple_of=14,
                                                 keep_aspect_ratio=True)


def prompt_depth_anything() -> tuple[nn.Module, Any]:
    model = transformers.PromptDepthAnythingForDepthEstimation(transformers.PromptDepthAnythingConfig(
        backbone_config=transformers.Dinov2Config(**DINO), reassemble_hidden_size=16, head_hidden_size=8,
        patch_size=14, **NECK))
    return model, transformers.PromptDepthAnythingImageProcessor(size={"height": 56, "width": 56},
                                                                 ensure_multiple_of=14, keep_aspect_ratio=True)


def dpt_dinov2() -> tuple[nn.Module, Any]:
    """As the published ones are converted: pictures keep their size and their 0 to 255."""
    dino = transformers.Dinov2Config(**DINO | {"apply_layernorm": False})
    model = transformers.DPTForDepthEstimation(transformers.DPTConfig(
        backbone_config=dino, add_projection=True, neck_hidden_sizes=[4, 4, 8, 8], fusion_hidden_size=256,
        neck_ignore_stages=[], use_bias_in_fusion_residual=False))
    return model, transformers.DPTImageProcessor(
        do_resize=False, do_rescale=False, do_pad=True, size_divisor=14, image_mean=[123.675, 116.28, 103.53],
        image_std=[58.395, 57.12, 57.375])


def depth_pro(lens: bool = True) -> tuple[nn.Module, Any]:
    dino = {"model_type": "dinov2", "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2,
            "intermediate_size": 32, "image_size": 16, "patch_size": 4}
    model = transformers.DepthProForDepthEstimation(transformers.DepthProConfig(
        fusion_hidden_size=16, patch_size=16, image_model_config=dino, patch_model_config=dino, fov_model_config=dino,
        intermediate_hook_ids=[1, 0], intermediate_feature_dims=[8, 8], scaled_images_feature_dims=[16, 16, 16],
        merge_padding_value=1, use_fov_model=lens))
    if lens:
        model.fov_model.head.layers[-1].bias.data.fill_(60.0)  # degrees
    return model, transformers.DepthProImageProcessor(size={"height": 64, "width": 64})


def tipsv2() -> tuple[nn.Module, Any]:
    backbone = transformers.Tipsv2VisionConfig(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, mlp_ratio=2, image_size=56, patch_size=14,
        out_indices=[1, 2, 3, 4], apply_layernorm=True, reshape_hidden_states=False)
    model = transformers.Tipsv2DptForDepthEstimation(transformers.Tipsv2DptConfig(
        backbone_config=backbone, num_depth_bins=16, max_depth=20.0, **NECK))
    return model, transformers.Tipsv2DptImageProcessor(size={"height": 56, "width": 84})


def dpt() -> tuple[nn.Module, Any]:
    model = transformers.DPTForDepthEstimation(transformers.DPTConfig(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8,
        backbone_out_indices=[0, 1, 2, 3], is_hybrid=False, **NECK))
    return model, transformers.DPTImageProcessor(size={"height": 32, "width": 32})


def zoedepth(heads: int = 1) -> tuple[nn.Module, Any]:
    """With a head for roads, or one for rooms beside it."""
    scenes = (("road", 60.0), ("room", 10.0))[:heads]
    beit = transformers.BeitConfig(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32, image_size=64, patch_size=16,
        out_features=["stage1", "stage2", "stage3", "stage4"], reshape_hidden_states=False,
        use_relative_position_bias=True)
    model = transformers.ZoeDepthForDepthEstimation(transformers.ZoeDepthConfig(
        backbone_config=beit, bottleneck_features=8, num_relative_features=8, bin_embedding_dim=8,
        num_attractors=[4, 2, 2, 1], **NECK,
        # the code of several heads holds for these two numbers alone
        num_patch_transformer_layers=4, patch_transformer_hidden_size=128, patch_transformer_intermediate_size=16,
        patch_transformer_num_attention_heads=2,
        bin_configurations=[{"name": name, "n_bins": 8, "min_depth": 0.001, "max_depth": far} for name, far in scenes]))
    return model, transformers.ZoeDepthImageProcessor(size={"height": 64, "width": 96}, ensure_multiple_of=32)


def glpn(max_depth: int = 10) -> tuple[nn.Module, Any]:
    model = transformers.GLPNForDepthEstimation(transformers.GLPNConfig(
        depths=[1, 1, 1, 1], hidden_sizes=[8, 8, 16, 16], num_attention_heads=[1, 1, 2, 2], decoder_hidden_size=8,
        max_depth=max_depth))
    return model, transformers.GLPNImageProcessor()


def save(folder: Path, made: tuple[nn.Module, Any], dtype: torch.dtype = torch.float32) -> str:
    """Save a model whose random weights are large enough for a picture to be told from another."""
    model, processor = made
    chance = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, (1.5 / parameter[0].numel()) ** 0.5, generator=chance)
            if name.startswith("head") and name.endswith("bias"):
                # or the last ReLU might cut off everything; Depth Pro's comes from larger numbers
                parameter.fill_(10.0 if name == "head.layers.4.bias" else 1.0)
    model.to(dtype).save_pretrained(folder)
    model.float()
    processor.save_pretrained(folder)
    return f"hf:{folder}"
