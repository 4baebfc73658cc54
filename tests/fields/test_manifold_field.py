"""Fields on domains: the posterior against dense algebra, what it is equivariant to, and what it is good for."""

import numpy as np
import pytest
from scipy.interpolate import RBFInterpolator
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal

from fields.manifolds import Floats, relative, sheets, sphere, tangent, waves
from voxfield.artifacts import LabelMap
from voxfield.errors import InputError
from voxfield.fields.manifold import FieldGP, Wishes, fit, from_mask, from_points, modes
from voxfield.fields.manifold._calibrated import calibrated
from voxfield.fields.manifold._likelihood import Whitened, score
from voxfield.fields.manifold._spectrum import Band, Spectrum

RNG = np.random.default_rng(7)


def plane_field(kernel: str, count: int = 28) -> tuple[FieldGP, Floats]:
    """A fit in the flat plane, where neighbours, frames and calibration leave nothing approximate."""
    points = np.random.default_rng(0).uniform(size=(120, 2))
    values = np.stack([np.sin(3 * points[:, 0]), np.cos(2 * points[:, 1])], axis=1)
    noisy = values[:count] + 0.05 * np.random.default_rng(1).standard_normal((count, 2))
    wishes = Wishes(kernel, smoothness=("matern-5/2",))
    return fit(from_points(points, dimension=2), points[:count], noisy, wishes=wishes, count=30), noisy


def dense(field: FieldGP, values: Floats) -> tuple[Floats, Floats]:
    """Mean and variance at the nodes by inverting the whole covariance."""
    setting, seen = field.settings, field.attach(field.domain.points[: len(values)])

    def covariance(a, b):
        whole = np.zeros((len(a), 2, len(b), 2))
        if setting.local is not None:
            square = np.square(a.points[:, None] - b.points).sum(axis=2)
            whole += setting.local(square)[:, None, :, None] * np.eye(2)[:, None]
        if setting.intrinsic is not None:
            whole += np.einsum("pak,k,qbk->paqb", a.features, setting.intrinsic.density, b.features)
        return setting.variance * whole.reshape(2 * len(a), 2 * len(b))

    tail = setting.variance * setting.intrinsic.tail if setting.local is None and setting.intrinsic else 0.0
    data = covariance(seen, seen) + (setting.noise_sd**2 + tail) * np.eye(2 * len(values))
    cross = covariance(field.nodes, seen)
    variance = np.diag(covariance(field.nodes, field.nodes) - cross @ np.linalg.solve(data, cross.T)) + tail
    return (cross @ np.linalg.solve(data, values.ravel())).reshape(-1, 2), variance.reshape(-1, 2)


@pytest.mark.parametrize("kernel", ["sum", "ambient", "intrinsic"])
def test_the_posterior_is_that_of_dense_algebra(kernel: str) -> None:
    field, values = plane_field(kernel)
    field.inflation = 1.0
    mean, variance = dense(field, values)
    found = field.predict()
    np.testing.assert_allclose(found.mean, mean, atol=1e-7)
    np.testing.assert_allclose(found.sd**2, variance, atol=1e-7, rtol=1e-5)


def test_samples_have_the_mean_and_the_covariance_of_the_posterior() -> None:
    field, _ = plane_field("sum")
    found, draws = field.predict(), field.sample(4000, np.random.default_rng(0))
    np.testing.assert_allclose(draws.mean(axis=0), found.mean, atol=5 * found.sd.max() / np.sqrt(4000))
    np.testing.assert_allclose(draws.std(axis=0), found.sd, rtol=0.15, atol=1e-3)
    # A coarse average of the field has the variance that dense algebra gives it: draws are joint, not pointwise.
    field.inflation = 1.0
    near = np.argsort(np.linalg.norm(field.domain.points - field.domain.points[100], axis=1))[:2]
    pair = field.sample(4000, np.random.default_rng(0))[:, near, 0]
    assert np.corrcoef(pair.T)[0, 1] > 0.5


def test_evidence_is_the_log_density_and_its_gradient_is_exact() -> None:
    features, data, density = RNG.standard_normal((40, 6)), RNG.standard_normal(40), RNG.uniform(0.1, 2, 6)
    whitened = Whitened(features.T @ features, features.T @ data, float(data @ data), 0.0, 40)
    found, gradient = score(whitened, density)
    covariance = found.variance * (np.eye(40) + features @ np.diag(density) @ features.T)
    assert found.log_evidence == pytest.approx(multivariate_normal(cov=covariance).logpdf(data))
    numeric = approx_fprime(np.log(density), lambda place: score(whitened, np.exp(place))[0].log_evidence, 1e-7)
    np.testing.assert_allclose(gradient, numeric, atol=1e-5)


def test_the_variance_left_out_is_that_of_the_missing_modes() -> None:
    # A spectrum known to the end: Weyl's law in one dimension is exact for a circle of sines and cosines.
    eigenvalues = np.square(np.arange(1, 2001) / 2.0)
    spectrum = Spectrum("matern", 0.3, 2.0)
    whole = np.exp(spectrum.log_density(eigenvalues))
    _, tail = Band(eigenvalues[:40], 1.0, 2000, 1).weights(spectrum)
    assert tail == pytest.approx(whole[40:].sum() / whole.sum(), rel=0.1)


def test_calibration_finds_the_factor_of_a_wrong_scale() -> None:
    residual = 3 * RNG.standard_normal(20000)
    assert calibrated(residual**2, np.ones(20000), np.zeros(20000), (0.1, 10)) == pytest.approx(3, rel=0.06)
    assert calibrated(residual**2, np.full(20000, 1e-9), np.full(20000, 9.0), (0.1, 10)) == 1


def test_turning_the_world_turns_the_field() -> None:
    points = sphere(300)
    values = waves(points, points)[:120]
    turn = np.linalg.qr(RNG.standard_normal((3, 3)))[0]
    one = fit(from_points(points), points[:120], values, count=30).predict()
    other = fit(from_points(points @ turn.T), points[:120] @ turn.T, values @ turn.T, count=30).predict()
    np.testing.assert_allclose(other.mean, one.mean @ turn.T, atol=2e-3)


def test_a_smooth_field_is_found_better_than_by_splines_and_the_frames_are_tangent() -> None:
    points = sphere(600)
    truth = waves(points, points)
    domain = from_points(points)
    field = fit(domain, points[:180], truth[:180], count=50)
    found = field.predict()
    spline = tangent(RBFInterpolator(points[:180], truth[:180])(points), points)
    assert relative(found.mean[180:], truth[180:]) < 0.5 * relative(spline[180:], truth[180:])
    outside = found.mean - np.einsum("nda,nea,ne->nd", domain.frames, domain.frames, found.mean)
    assert np.abs(outside).max() < 1e-12


def test_two_sheets_do_not_mix() -> None:
    points, normals, which = sheets(800, 2)
    truth = np.where(which[:, None] > 0, waves(points, normals, 1, 3), waves(points, normals, 2, 3))
    seen = RNG.permutation(800)[:240]
    rest = np.setdiff1d(np.arange(800), seen)
    found = fit(from_points(points), points[seen], truth[seen], count=50).predict().mean
    spline = tangent(RBFInterpolator(points[seen], truth[seen])(points), normals)
    assert relative(found[rest], truth[rest]) < 0.5 * relative(spline[rest], truth[rest])


def test_between_the_nodes_the_field_is_as_good_as_at_them() -> None:
    points, between = sphere(600), sphere(200, seed=1)
    field = fit(from_points(points), points[:200], waves(points, points)[:200], count=50)
    found, at_nodes = field.predict(field.attach(between)), field.predict()
    error, reference = relative(found.mean, waves(between, between)), relative(at_nodes.mean, waves(points, points))
    assert error < 2 * reference + 0.01
    same = field.predict(field.attach(points[10:20]))
    np.testing.assert_allclose(same.mean, at_nodes.mean[10:20], atol=1e-9)
    np.testing.assert_allclose(same.sd, at_nodes.sd[10:20], atol=1e-9)


def test_super_resolution_and_inpainting_around_a_singularity() -> None:
    # Rotation about the z axis vanishes at the pole, around which nothing is observed.
    points = sphere(700)
    truth = np.stack([-points[:, 1], points[:, 0], np.zeros(700)], axis=1)
    hole = points[:, 2] > 0.85
    field = fit(from_points(points), points[~hole][::3], truth[~hole][::3], count=50)
    found = field.predict()
    assert relative(found.mean[hole], truth[hole]) < 0.05
    pole = field.predict(field.attach(np.array([[0.0, 0.0, 1.0]]))).mean
    assert np.linalg.norm(pole) < 0.05


def test_scalars_on_a_surface_and_in_voxels() -> None:
    points = sphere(400)
    truth = np.sin(2 * points[:, :1]) * points[:, 1:2]
    found = fit(from_points(points), points[:150], truth[:150], count=50).predict()
    assert found.mean.shape == (400, 1)
    assert relative(found.mean, truth) < 0.02
    mask = np.zeros((12, 12, 5), dtype=int)
    mask[:5], mask[6:] = 1, 1  # two slabs, a voxel apart, with unlike values
    domain = from_mask(LabelMap(mask, np.eye(4)))
    values = np.where(domain.points[:, :1] < 5.5, 1.0, -1.0) * np.cos(0.3 * domain.points[:, 1:2])
    seen = np.random.default_rng(0).permutation(len(domain))[:150]
    assert relative(fit(domain, domain.points[seen], values[seen], count=20).predict().mean, values) < 0.05


def test_noise_is_learned() -> None:
    points = sphere(600)
    noisy = waves(points, points)[:400] + 0.3 * np.random.default_rng(3).standard_normal((400, 3))
    for kernel in ("sum", "ambient"):
        field = fit(from_points(points), points[:400], noisy, wishes=Wishes(kernel), count=50)
        assert field.settings.noise_sd == pytest.approx(0.3, rel=0.2)
    known = fit(from_points(points), points[:400], noisy, wishes=Wishes(noise_sd=0.25), count=50)
    assert known.settings.noise_sd == pytest.approx(0.25)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # of gpytorch, on import
def test_gpytorch_has_the_same_posterior() -> None:
    import gpytorch
    import torch

    from voxfield.fields.manifold._gpytorch import SpectralKernel

    points = sphere(120)
    domain = from_points(points)
    basis = modes(domain, 24, scalar=False)
    field = fit(domain, points[:40], waves(points, points)[:40], wishes=Wishes("intrinsic"), found=basis)
    setting = field.settings
    kernel = gpytorch.kernels.ScaleKernel(SpectralKernel(basis)).double()
    for name in ("length", "smoothness"):
        raw = kernel.base_kernel.raw_length_constraint.inverse_transform(
            torch.tensor(getattr(setting.intrinsic.spectrum, name), dtype=torch.float64)
        )
        kernel.base_kernel.initialize(**{f"raw_{name}": raw})
    kernel.outputscale = float(setting.variance * setting.intrinsic.density.sum() / 2)
    # The rows of node i are 2 i and 2 i + 1; noise and what the spectrum leaves out act alike on data.
    order = [int(np.argmin(np.linalg.norm(points - p, axis=1))) for p in field.observed.places.points]
    rows = torch.tensor([2 * node + c for node in order for c in (0, 1)], dtype=torch.float64)[:, None]
    values = np.einsum("pac,pa->pc", field.observed.places.bases, field.observed.values).ravel()

    class Exact(gpytorch.models.ExactGP):
        def __init__(self, likelihood):
            super().__init__(rows, torch.as_tensor(values), likelihood)
            self.mean, self.kernel = gpytorch.means.ZeroMean(), kernel

        def forward(self, x):
            return gpytorch.distributions.MultivariateNormal(self.mean(x), self.kernel(x))

    likelihood = gpytorch.likelihoods.GaussianLikelihood(noise_constraint=gpytorch.constraints.GreaterThan(1e-12))
    likelihood.noise = float(setting.variance * (setting.noise_ratio + setting.intrinsic.tail))
    model = Exact(likelihood.double()).double().eval()
    asked = torch.arange(240, dtype=torch.float64)[:, None]
    with torch.no_grad(), gpytorch.settings.fast_computations(False, False, False):
        mean = model(asked).mean.numpy().reshape(120, 2)
    np.testing.assert_allclose(np.einsum("pac,pc->pa", field.nodes.bases, mean), field.predict().mean, atol=1e-5)


def test_what_can_not_be_fitted() -> None:
    points = sphere(100)
    domain = from_points(points)
    with pytest.raises(InputError, match="7 observations; at least 8 are needed"):
        fit(domain, points[:7], points[:7])
    with pytest.raises(InputError, match=r"1 points lie off the domain, point 3 by 4"):
        fit(domain, np.vstack([points[:3], [[5, 0, 0]], points[:9]]), np.zeros((13, 3)))
