"""The table of torch lowerings; the modules of this package fill it."""

from netspec.lowering import Lowerings

TABLE = Lowerings("torch")
lowers = TABLE.lowers
