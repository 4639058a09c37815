"""Backbones: pretrained networks that the user has, as ONNX files, and that turn sound into numbers (embeddings).

Harken ships none. What such a network expects (rate, window, layout, mel settings, which output) is declared in a TOML file
beside it, FILE.toml for FILE.onnx: ``declaration`` reads it and compares it with the file. A trained model keeps the
declaration and the hash of the file's content, and not the file: ``places`` finds it again. ``network`` reads the file and asks
the network, with onnxruntime, imported when it is needed. ``bands`` makes mel pictures; ``draft`` begins a declaration.
"""

from harken.frontends.backbone.bands import Bands
from harken.frontends.backbone.declaration import backbone_of, declaration_beside, misfits
from harken.frontends.backbone.frontend import Backbone
from harken.frontends.backbone.places import announce

__all__ = ["Backbone", "Bands", "announce", "backbone_of", "declaration_beside", "misfits"]
