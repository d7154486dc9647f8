"""The table of Keras lowerings; the modules of this package fill it."""

from netspec.lowering import Lowerings

TABLE = Lowerings("keras")
lowers = TABLE.lowers
