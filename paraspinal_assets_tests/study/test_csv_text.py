import io

import numpy as np
import pandas as pd

from paraspinal_assets.study.csv_text import csv_text


def test_numbers_come_back_bit_for_bit_and_missing_ones_as_nothing():
    generator = np.random.default_rng(0)
    floats = generator.normal(size=70_000) * 10.0 ** generator.integers(-300, 300, 70_000)
    floats[5:9] = np.nan, np.inf, -0.0, 5e-324
    text = csv_text(pd.DataFrame({"a": floats, "b": np.arange(70_000)}))
    back = pd.read_csv(io.StringIO(text))
    np.testing.assert_array_equal(back["a"].to_numpy().view(np.int64), floats.view(np.int64))
    assert text.split("\n")[6] == ",5"


def test_text_is_as_pandas_writes_it():
    frame = pd.DataFrame(
        {
            "name, with comma": ["plain", 'say "no"', "two\nlines", None],
            "nullable": pd.array([1, None, 3, 4], dtype="Int64"),
            "truth": [True, False, True, True],
            "measure": [0.1, 1 / 3, np.nan, 2.0],
        }
    )
    assert csv_text(frame) == frame.to_csv(index=False, float_format="%.17g", lineterminator="\n")
    assert csv_text(frame[["measure"]]) == frame[["measure"]].to_csv(
        index=False, float_format="%.17g", lineterminator="\n"
    )
    assert csv_text(frame.iloc[:0]) == frame.iloc[:0].to_csv(index=False, lineterminator="\n")
