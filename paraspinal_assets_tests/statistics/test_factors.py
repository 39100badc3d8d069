from paraspinal_assets.statistics.factors import r_sorted


def test_levels_sort_without_regard_to_case():
    assert r_sorted(["White", "black", "Asian"]) == ("Asian", "black", "White")
    assert r_sorted(["T2", "Tb", "T_1", "T-1", "T 1", "Ta"]) == ("T 1", "T_1", "T-1", "T2", "Ta", "Tb")
