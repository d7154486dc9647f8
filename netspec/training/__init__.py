"""Training: one loop runs a spec's recipe over data, identically in every backend that can train.

`run` is the whole of it: from a spec, `options` and data it gathers the `material`, makes a trainer, and hands both
to a `session`, whose `loop` takes the steps.

- Each step: `schedule` has its learning rate, `network` its inputs, `dropout_masks` the masks that backends share.
  `update` and `loss` are the definitions, in NumPy, that every trainer is checked against. `curvature` computes the
  second derivatives that one optimizer has before each epoch. `adversarial` makes one trainer of a generator's and a
  discriminator's, and `samples` a sheet of what the generator makes.
- On disk: the run's `folder`, held by a `lock`, has each `checkpoint` and the `metrics`. `same_run` checks that a run
  is continued as it began; `summary` and `report` make a page of it.
- Around the steps: `events` and their observers, `stop` by a signal, `interrupts`, `diagnose` for a loss that is not
  finite, and what `distributed` processes have to agree on.
- `score` scores logits, and `evaluate` given weights; `data` opens datasets, and `study` compares several networks.
"""
