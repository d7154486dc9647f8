from netspec.cli.table import Column, fold, render_table, short_count

COLUMNS = [Column("layer", fold=True), Column("op", fold=True), Column("weights", right=True)]
ROWS = [["conv1", "local_response_norm", 60965224], ["relu1", "relu", None]]


def lines(width: int | None) -> list[str]:
    return [line for row in render_table(COLUMNS, ROWS, width) for line in row]


def test_without_a_width_nothing_is_shortened_or_folded() -> None:
    assert lines(None) == [
        "layer  op                      weights",
        "conv1  local_response_norm  60,965,224",
        "relu1  relu",
    ]


def test_counts_are_shortened_before_texts_are_folded() -> None:
    assert lines(37)[1] == "conv1  local_response_norm    61.0M"


def test_texts_are_folded_at_punctuation_in_a_narrow_table() -> None:
    assert lines(32)[1:3] == ["conv1  local_response_     61.0M", "       norm"]
    assert max(map(len, lines(32))) <= 32


def test_a_spare_column_is_left_out_before_anything_is_shortened() -> None:
    columns = [*COLUMNS, Column("mapping", spare=True)]
    rows = [[*row, "torchvision/alexnet.yaml"] for row in ROWS]
    assert render_table(columns, rows, 64)[0] == [lines(None)[0] + "  mapping"]
    assert [line for row in render_table(columns, rows, 63) for line in row] == lines(None)


def test_rows_of_a_table_that_cannot_fold_further_become_paragraphs() -> None:
    """Empty cells are left out, counts are whole again, and a text without a title stands beside the name."""
    columns = [*COLUMNS, Column("")]
    rows = [[*ROWS[0], "✓"], [*ROWS[1], "✗"], ["block1.relu1", "relu", 0, "✓"]]
    assert render_table(columns, rows, 22) == [
        [],
        ["conv1  ✓", "  op       local_", "           response_", "           norm", "  weights  60,965,224"],
        ["relu1  ✗", "  op       relu"],
        ["block1.relu1  ✓", "  op       relu", "  weights  0"],
    ]
    assert render_table(columns, rows, 23)[0] == ["layer  op     weights"]


def test_columns_are_closer_before_words_are_broken() -> None:
    assert lines(25)[:3] == ["layer  op         weights", "conv1  local_       61.0M", "       response_"]
    assert lines(23)[:3] == ["layer op        weights", "conv1 local_      61.0M", "      response_"]
    assert lines(21)[:4] == ["layer op      weights", "conv1 local_    61.0M", "      respons", "      e_norm"]


def test_the_name_of_a_paragraph_is_whole() -> None:
    """A path that the terminal breaks can still be copied."""
    path = "build/alexnet/torch/alexnet.py"
    assert render_table([Column("written"), Column("bytes", right=True)], [[path, 34455]], 20) == [
        [],
        [path, "  bytes    34,455"],
    ]


def test_words_longer_than_the_width_are_broken() -> None:
    assert fold("abcdefghij", 4) == ["abcd", "efgh", "ij"]


def test_short_counts_round_up_to_the_next_unit() -> None:
    assert [short_count(n) for n in (0, 999, 1000, 999_949, 999_999, 1_500_000_000)] == [
        "0",
        "999",
        "1.0k",
        "999.9k",
        "1.0M",
        "1.5G",
    ]


def test_a_table_without_rows_is_its_header() -> None:
    assert render_table(COLUMNS, []) == [["layer  op  weights"]]
