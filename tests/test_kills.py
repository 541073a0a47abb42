"""Do all steps end the same, killed or not? `make campaign` asks so ten times as often."""

from kill_campaign import campaign


def test_killed_at_random_moments_every_step_ends_as_if_it_had_not_been(tmp_path):
    found = campaign(tmp_path, kills=5, seed=1)
    assert found["differ"] == []
    assert found["met"] > 0 and found["samples"] == 144
