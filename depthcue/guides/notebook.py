# %% [markdown]
# # What does a depth network look at?
#
# A walk through depthcue in Python: load, mask, plot, compare, and a network of your own. Open this file as a notebook
# (VS Code and PyCharm run it cell by cell, Jupyter opens it with jupytext), or run it as a script. On two CPU cores it
# takes some minutes, most of which go into training at the end. Everything here works without a connection.

"""A notebook in percent format: load, mask, plot, compare, a network of one's own."""

# %%
import torch
from torch import Tensor, nn

import depthcue
from depthcue import scenes

QUICK = bool(globals().get("QUICK", False))  # set by who wants to see that it runs, and no more

# %% [markdown]
# ## Load
# A mask net with the depth net that it explains. `compact-indoor` and `compact-road` come with depthcue;
# `depthcue.load("OWNER/NAME")` fetches others from the Hugging Face hub.

# %%
masker = depthcue.load("compact-indoor")
masker

# %% [markdown]
# ## Mask
# A picture is a path, a PIL image, an array uint8 (H, W, 3) or a float tensor (3, H, W) in 0 to 1. This one is a
# rendered room, so that the notebook needs no file; put the path of yours in its place.

# %%
picture = scenes.render("indoor", [7], 240, 320).rgb[0]
result = masker(picture, keep=0.2)
result  # in a notebook: picture, mask, what is kept, and the depth from all and from what is kept

# %%
result.overlay()  # a PIL image; .save("overlay.png") writes it

# %% [markdown]
# Its parts are numpy arrays of the picture's size.

# %%
print(f"kept {result.keep:.1%} of {result.kept.size:,} pixels")
difference = result.depth_from_kept - result.depth
print(f"depth from them differs by {abs(difference).mean():.2f} {result.unit} in the mean")

# %% [markdown]
# The fewer pixels are kept, the more depth is lost.

# %%
for keep in (0.05, 0.1, 0.2, 0.4):
    kept = masker(picture, keep=keep)
    print(f"{keep:4.0%}  {abs(kept.depth_from_kept - kept.depth).mean():.3f} {kept.unit}")

# %% [markdown]
# ## Compare
# Are the kept pixels just the strong edges? The depth net is shown equally many pixels of each choice. The data can be
# a folder of your pictures, too: `"folder:MY_PICTURES"`.

# %%
curve = depthcue.compare_edges(masker, "scenes:indoor", against=["sobel", "random"], limit=2 if QUICK else 40,
                               keep=(0.1, 0.2, 0.4))
print(*curve.sentences, sep="\n")
curve

# %% [markdown]
# `curve["curves"]` holds the numbers, `curve.plot().savefig(...)` the figure, and `curve.save("out")` writes it all.

# %% [markdown]
# ## Which cues does it believe?

# %%
profile = depthcue.probe(masker.depth_net, ["pitch"], limit=1 if QUICK else 12)
print(*profile.sentences, sep="\n")
profile

# %% [markdown]
# ## A network of your own
# Any module or function from pictures (B, 3, H, W) to depth. This one knows two things: what stands low in the picture
# is near, and what is dark is far. Gradients have to reach the picture.


# %%
class LowIsNear(nn.Module):
    def forward(self, rgb: Tensor) -> Tensor:
        rows = torch.linspace(0.1, 1, rgb.shape[2], device=rgb.device)[None, :, None]
        light = nn.functional.avg_pool2d(rgb.mean(dim=1, keepdim=True), 9, stride=1, padding=4)
        return rows + 0.5 * light[:, 0]


mine = depthcue.load_depth(LowIsNear(), predicts="inverse", relative=True, takes="rgb", size=(96, 128), multiple=16)
mine(picture)

# %% [markdown]
# Training a mask net for it needs pictures and no depth. It starts from a general mask net that is shipped, so that a
# few hundred steps are a first look; `minutes=10` gives it ten minutes. `out` is the run folder.

# %%
mask_of_mine = depthcue.train_mask(mine, "scenes:indoor", steps=2 if QUICK else 300, batch_size=4)
mask_of_mine(picture, keep=0.2)

# %% [markdown]
# `depthcue.load("RUN/mask.safetensors", target=mine)` loads it again, and `depthcue.publish("RUN", "FOLDER")` makes a
# repository folder of it for the hub.
