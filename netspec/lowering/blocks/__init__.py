"""Sharing code between instances of a block: one class or function, with parameters for what differs between them.

A spec says `block: bottleneck` sixteen times, and emitted source has one `Bottleneck(in_channels, width, stride=1)`. It
is found in the nodes, after all passes, and not in the spec: what a pass has changed, the class has too. The way there:

1. `parts` splits the graph into a tree: the network, stacks, and instances of blocks. (`equal_parts` keeps slices that
   are taken in one statement together.)
2. `drafts` holds the statements that lowerings emit for each part, over provisional variables. In `template` a draft is
   a row of units, one for each member.
3. `generalize` finds groups of drafts that can share source, and the template of each. In `groups`, every member has
   the units of the fullest one in the same places (`align`), or lacks some; `union` makes a fullest one if no instance
   has all. `forms` compares units up to numbers.
4. `shared` walks the expressions of a place in step. Where units differ, `choices` chooses by a condition; where what
   they read differs, `reads` does; where a branch is lacking, `branches` passes on what it would be merged with.
5. `numbers` finds an expression for each number that differs, and `conditions` for each choice: what the spec states
   (`known`, `stated`, `formulas`), if that has the same values and is the same kind of number (`kinds`). Else a new
   `parameter` is named after its place in the source (`places`). `used` collects the names.
6. Stacks are rows of instances, whose lengths and elements may differ too: `stacks` repeats equal elements, `indexed`
   computes them from their index, and `lists` takes their numbers from tuples.
7. `definitions` does all this for each block, and `variants` names the classes of one that needs several.
"""
