"""Noise of the velocity images and of the angiogram."""

import numpy as np
import pytest

from voxfield.phantoms._scan import Angiography, annotate_sparsely, measure_velocity, render_angiogram

SHAPE = (24, 24, 24)


def test_noise_is_that_of_four_point_encoding() -> None:
    venc, snr = 1.2, 15.0
    truth = np.random.default_rng(0).uniform(-0.5, 0.5, (*SHAPE, 3))
    rng = np.random.default_rng(1)
    error = measure_velocity(truth, np.ones(SHAPE), venc=venc, snr=snr, background=0.0, rng=rng) - truth
    expected = np.sqrt(2) / np.pi * venc / snr
    flat = error.reshape(-1, 3)
    assert np.allclose(flat.std(axis=0), expected, rtol=0.03)
    assert np.allclose(np.corrcoef(flat.T)[np.triu_indices(3, 1)], 0.5, atol=0.03)
    assert np.abs(flat.mean(axis=0)).max() < 0.05 * expected


def test_half_the_signal_has_twice_the_noise() -> None:
    def sd(fraction: float) -> float:
        rng = np.random.default_rng(2)
        signal = np.full(SHAPE, fraction)
        found = measure_velocity(np.zeros((*SHAPE, 3)), signal, venc=1.0, snr=30.0, background=0.0, rng=rng)
        return float(found.std())

    assert sd(0.5) / sd(1.0) == pytest.approx(2.0, rel=0.03)


def test_phases_without_signal_are_uniform() -> None:
    rng = np.random.default_rng(3)
    found = measure_velocity(np.zeros((*SHAPE, 3)), np.zeros(SHAPE), venc=1.5, snr=20.0, background=0.0, rng=rng)
    assert np.abs(found).max() <= 1.5
    assert found.std() == pytest.approx(1.5 / np.sqrt(3), rel=0.02)


def test_speed_beyond_venc_wraps() -> None:
    truth = np.zeros((*SHAPE, 3))
    truth[..., 0] = 0.7
    rng = np.random.default_rng(4)
    found = measure_velocity(truth, np.ones(SHAPE), venc=0.5, snr=1e6, background=0.0, rng=rng)
    assert np.allclose(found[..., 0], -0.3, atol=1e-4)
    assert np.allclose(found[..., 1:], 0, atol=1e-4)


def test_angiogram_shows_partial_volume_over_rician_noise() -> None:
    fraction = np.zeros(SHAPE)
    fraction[8:16] = 1.0
    fraction[16] = 0.5
    plain = Angiography(noise=0.0, bias=0.0, blur=0.0, texture=0.0, tissue=0.2)
    image = render_angiogram(fraction, plain, np.random.default_rng(5))
    assert np.allclose(image[:8], 20)
    assert np.allclose(image[8:16], 120)
    assert np.allclose(image[16], 70)
    noisy = Angiography(noise=0.1, bias=0.0, blur=0.0, texture=0.0, tissue=0.0)
    empty = render_angiogram(np.zeros(SHAPE), noisy, np.random.default_rng(6))
    assert empty.mean() == pytest.approx(10 * np.sqrt(np.pi / 2), rel=0.02)  # Rayleigh


def test_bias_is_smooth_and_bounded() -> None:
    how = Angiography(noise=0.0, bias=0.3, blur=0.0, texture=0.0, tissue=1.0)
    image = render_angiogram(np.zeros(SHAPE), how, np.random.default_rng(7)) / 100
    assert np.abs(image - 1).max() == pytest.approx(0.3, rel=1e-3)
    assert max(np.abs(np.diff(image, axis=axis)).max() for axis in range(3)) < 0.15


def test_annotation_leaves_slices_out_but_never_as_background() -> None:
    lumen = (np.random.default_rng(8).random(SHAPE) > 0.5).astype(np.uint8)
    sparse = annotate_sparsely(lumen, 6)
    seen = (sparse != 255).all(axis=(0, 1))
    assert seen.sum() == 4
    assert np.array_equal(sparse[:, :, seen], lumen[:, :, seen])
    assert (sparse[:, :, ~seen] == 255).all()
