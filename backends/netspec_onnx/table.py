"""The table of ONNX lowerings; the modules of this package fill it."""

from netspec.lowering import Lowerings

TABLE = Lowerings("onnx")
lowers = TABLE.lowers
