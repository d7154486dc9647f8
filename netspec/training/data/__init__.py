"""Data: opening datasets, decoding images, and building batches that are identical in every backend.

- Opening: `sources` detects the format of a `dataset` in `places`, `remote` ones too, and divides it by the `roles`
  of its parts; `division` holds samples back. The formats are `arrays`, `folders`, `mask_folders`, `parquet`,
  `digits`, and prepared `shards` with a `manifest`. What is wrong is collected in `findings`.
- Samples: `images` decodes one, `masked_images` with its mask; `augmentation` draws its changes, with `augment` for
  pixels and `deformation` for geometry. `targets`, `pixel_weights` and `tiles` are for masks.
- Batches: `samples` reads in `parallel` into arrays; `batches` builds those of training, with `mixing`, and
  `evaluation_batches` those that are scored.
- Whole datasets: `statistics` of pixels, the `census` of classes, the `fingerprint`, and the commands that `check`
  and `prepare` one.
"""
