"""Upsampling and the convolution after it, exchanged: the same answers from less arithmetic."""
