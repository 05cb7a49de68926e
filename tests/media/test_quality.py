from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx.media.events import StreamStatistics
from pbx.media.quality import (
    Quality,
    delay_impairment,
    equipment_impairment,
    mean_opinion_score,
    quality_of,
    r_factor,
)


@pytest.mark.parametrize(
    ("rating", "mos"),
    # ITU-T G.107 Annex B, table B.1, and the default rating.
    [(93.2, 4.41), (90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58), (0, 1.0), (-5, 1.0), (100, 4.5)],
)
def test_mos_of_g107_annex_b(rating: float, mos: float) -> None:
    assert mean_opinion_score(rating) == pytest.approx(mos, abs=0.01)


@pytest.mark.parametrize(
    ("codec", "loss", "impairment"),
    [
        # ITU-T G.113 Appendix I (05/2002), table I.2: Ie under random packet loss, as measured. The formula of G.107
        # with the figures of table I.3 is a fit to these and stays within 3.
        ("PCMU", 0, 0),
        ("PCMU", 1, 5),
        ("PCMU", 2, 7),
        ("PCMU", 3, 10),
        ("PCMU", 5, 15),
        ("PCMU", 7, 20),
        ("PCMU", 10, 25),
        ("G729", 0, 11),
        ("G729", 1, 15),
        ("G729", 2, 19),
        ("G729", 3, 23),
        ("G729", 4, 26),
        ("G729", 8, 36),
        ("G729", 16, 49),
        ("G723", 0, 15),
        ("G723", 1, 19),
        ("G723", 2, 24),
        ("G723", 4, 32),
        ("G723", 8, 41),
        ("G723", 16, 55),
    ],
)
def test_loss_as_g113_measured_it(codec: str, loss: float, impairment: float) -> None:
    assert equipment_impairment(codec, loss) == pytest.approx(impairment, abs=3)


@pytest.mark.parametrize("delay", [0, 50, 100, 150, 177, 200, 250, 300, 350])
def test_delay_as_cole_and_rosenbluth_fitted_it(delay: int) -> None:
    # "Voice over IP performance monitoring" (2001), equation 4: their fit to G.107's delay curves with all defaults.
    fitted = 0.024 * delay + 0.11 * max(0.0, delay - 177.3)
    assert delay_impairment(delay) == pytest.approx(fitted, abs=1.5)


def test_g711_at_its_best() -> None:
    rating = r_factor("PCMA", 0, 0)
    assert rating == pytest.approx(93.2)
    assert mean_opinion_score(rating or 0) == pytest.approx(4.41, abs=0.005)


def test_unknown_codec_has_no_rating() -> None:
    assert r_factor("speex", 0, 0) is None
    quality = quality_of(StreamStatistics(received_packets=10), "speex", 20)
    assert quality.loss == 0
    assert quality.mos is None


def test_a_leg_that_sent_nothing() -> None:
    assert quality_of(StreamStatistics(), "PCMU", 20) == Quality()


def test_a_clean_call() -> None:
    counts = StreamStatistics(received_packets=3000, sent_packets=3000, jitter=1.0, round_trip=20.0, rtcp_received=12)
    quality = quality_of(counts, "pcmu", 20)
    assert (quality.loss, quality.remote_loss, quality.round_trip) == (0, 0, 20)
    assert quality.mos == pytest.approx(4.38, abs=0.02)
    assert quality.remote_mos == pytest.approx(4.38, abs=0.02)


def test_a_bad_call() -> None:
    counts = StreamStatistics(
        received_packets=950,
        lost=50,
        jitter=40.0,
        round_trip=300.0,
        sent_packets=1000,
        remote_lost=200,
        rtcp_received=3,
    )
    quality = quality_of(counts, "PCMA", 20)
    assert quality.loss == 5
    assert quality.remote_loss == 20
    assert quality.mos is not None
    assert quality.remote_mos is not None
    assert 1 < quality.remote_mos < quality.mos < 3.5


def test_duplicates_are_no_negative_loss() -> None:
    quality = quality_of(StreamStatistics(received_packets=100, lost=-3), "PCMU", 20)
    assert quality.loss == 0


def test_without_reports_the_other_way_is_unknown() -> None:
    quality = quality_of(StreamStatistics(received_packets=100, sent_packets=100), "PCMU", 20)
    assert quality.mos is not None
    assert (quality.remote_loss, quality.remote_mos, quality.round_trip) == (None, None, None)


@given(
    st.sampled_from(["PCMU", "opus", "G729", "gsm"]),
    st.floats(0, 100),
    st.floats(0, 5000),
    st.floats(0, 50),
    st.floats(0, 500),
)
def test_more_loss_or_delay_is_never_better(
    codec: str, loss: float, delay: float, more_loss: float, more_delay: float
) -> None:
    here, worse = r_factor(codec, loss, delay), r_factor(codec, loss + more_loss, delay + more_delay)
    assert here is not None
    assert worse is not None
    assert 0 <= worse <= here + 0.1 <= 93.3
    assert 1 <= mean_opinion_score(here) <= 4.42


def test_what_the_peer_says_of_its_own_hearing_counts_more_than_an_estimate() -> None:
    counts = StreamStatistics(sent_packets=1000, rtcp_received=3, remote_rating=80, remote_score=-1.0)
    found = quality_of(counts, "PCMU", 20)
    assert found.remote_r_factor == 80
    assert found.remote_mos == pytest.approx(mean_opinion_score(80))
    assert quality_of(replace(counts, remote_score=3.9), "PCMU", 20).remote_mos == 3.9
