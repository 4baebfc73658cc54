"""Entropic optimal transport: Sinkhorn's scaling, then Newton steps with a sparse Hessian.

The plan is P_ij = exp((f_i + g_j - c_ij) / epsilon), its potentials f, g maximise the concave function
a.f + b.g - epsilon sum P, whose gradient is the error of the marginals (a - P 1, b - P^T 1). Sinkhorn's iterations
maximise over f and g in turn, and slow down as epsilon falls. Newton's method needs the matrix
[[diag(P 1), P], [P^T, diag(P^T 1)]] / epsilon, in which most of P is negligible: Tang, Shavlovsky, Rahmanian, Tardini,
Thekumparampil, Xiao, Ying, "Accelerating Sinkhorn algorithm with sparse Newton iterations", ICLR 2024, keep its largest
entries, solve by conjugate gradients and search along the direction.

What we do differently: epsilon falls to its value by steps, each started from the last, so that Newton starts near its
goal; entries are kept where they matter to the sum of their row or column, more of them the nearer the goal, not a
fixed number; f is removed by its Schur complement, which halves the system; a round of Sinkhorn follows every Newton
step and keeps one marginal exact; and the line search costs a product with P and no exponential, since P(f + s df, g +
s dg) is P scaled by rows and columns.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import LinearOperator, cg

Floats = NDArray[np.float64]
WARM = 10  # rounds of scaling before the first Newton step
WIDEST = 0.01  # epsilon to start with, in ranges of the cost
FALL = 0.25  # of epsilon from step to step
ROUGH = 1e-2  # error of the marginals that is enough before the last epsilon
NEWTON = 100
KEPT = 1e-4  # entries below this share of the mean entry of their row and column are left out
ROUND_OFF = 1e-14  # of the potential, out of 1
LARGEST = 100.0  # scalings beyond exp of this are taken into the potentials


@dataclass(frozen=True)
class Plan:
    """A plan between two densities.

    f, g        potentials (n,) and (m,), in the unit of the cost
    mass        (n, m) what goes from where to where
    error       sum of the absolute errors of both marginals
    scalings    rounds of Sinkhorn, and `newton` steps
    """

    f: Floats
    g: Floats
    mass: Floats
    error: float
    scalings: int
    newton: int


def sinkhorn(
    cost: Floats, a: Floats, b: Floats, epsilon: float, *, tolerance: float = 1e-10, rounds: int = 100_000,
    start: tuple[Floats, Floats] | None = None,
) -> Plan:  # fmt: skip
    """Scaling alone, stabilised (Schmitzer, SIAM J. Sci. Comput. 41(3), 2019): a kernel holds the potentials."""
    f, g = start if start is not None else (np.zeros(len(a)), np.zeros(len(b)))
    f = f + epsilon * (np.log(a) - _log_sums((f[:, None] + g - cost) / epsilon))
    kernel = np.exp((f[:, None] + g - cost) / epsilon)
    u, v = np.ones(len(a)), np.ones(len(b))
    done, error = 0, np.inf
    while done < rounds:
        v = b / (u @ kernel)
        rows = kernel @ v
        error = float(np.abs(u * rows - a).sum())
        u = a / rows
        done += 1
        if error <= tolerance:
            break
        if max(np.abs(np.log(u)).max(), np.abs(np.log(v)).max()) > LARGEST:
            f, g = f + epsilon * np.log(u), g + epsilon * np.log(v)
            kernel = np.exp((f[:, None] + g - cost) / epsilon)
            u, v = np.ones(len(a)), np.ones(len(b))
    mass = u[:, None] * kernel * v
    return Plan(f + epsilon * np.log(u), g + epsilon * np.log(v), mass, _error(mass, a, b), done, 0)


def transport(cost: Floats, a: Floats, b: Floats, epsilon: float, *, tolerance: float = 1e-10) -> Plan:
    """Newton steps after WARM rounds of scaling, at falling epsilon.

    cost     (n, m) finite
    a, b     (n,) and (m,) positive, of one sum
    epsilon  entropic regularisation, in the unit of the cost
    """
    now = max(epsilon, WIDEST * float(np.ptp(cost)))
    plan = sinkhorn(cost, a, b, now, tolerance=tolerance, rounds=WARM)
    scalings, newton = plan.scalings, 0
    while True:
        wanted = tolerance if now == epsilon else ROUGH
        for _ in range(NEWTON):
            if plan.error <= wanted:
                break
            f, g, rounds = _newton(plan, a, b, now)
            plan = sinkhorn(cost, a, b, now, tolerance=tolerance, rounds=rounds, start=(f, g))
            scalings, newton = scalings + plan.scalings, newton + 1
        if now == epsilon:
            return replace(plan, scalings=scalings, newton=newton)
        now = max(epsilon, FALL * now)
        plan = sinkhorn(cost, a, b, now, tolerance=tolerance, rounds=1, start=(plan.f, plan.g))
        scalings += 1


def _newton(plan: Plan, a: Floats, b: Floats, epsilon: float) -> tuple[Floats, Floats, int]:
    """Potentials after one step, and how many rounds of scaling should follow: more where the step went nowhere."""
    mass = plan.mass
    rows, columns = mass.sum(axis=1), mass.sum(axis=0)
    down, right = a - rows, b - columns
    sparse = _largest(mass, rows, columns, min(KEPT, plan.error))
    # diag(rows) df + P dg = epsilon down;  P^T df + diag(columns) dg = epsilon right: df is eliminated.
    scaled = diags_array(1 / rows) @ sparse
    preconditioner = 1 / (columns - sparse.multiply(scaled).sum(axis=0) + 1e-12 * columns.max())

    def schur(dg: Floats) -> Floats:
        return np.asarray(columns * dg - sparse.T @ (scaled @ dg))

    size = len(columns)
    operator = LinearOperator((size, size), matvec=schur, dtype=np.float64)
    preconditioned = LinearOperator((size, size), matvec=lambda r: preconditioner * r, dtype=np.float64)
    wanted = right - sparse.T @ (down / rows)
    tightness = min(0.1, float(np.abs(wanted).sum()))
    dg = cg(operator, wanted, rtol=tightness, maxiter=200, M=preconditioned)[0] if wanted.any() else wanted
    df = (down - sparse @ dg) / rows
    step = _search(mass, df, dg, a, b, float(down @ df + right @ dg))
    return plan.f + epsilon * step * df, plan.g + epsilon * step * dg, 1 if step else WARM


def _search(mass: Floats, df: Floats, dg: Floats, a: Floats, b: Floats, slope: float) -> float:
    """The first of 1, 1/2, 1/4, ... that raises the potential as Armijo asks; in units of epsilon."""
    gain, now = float(a @ df + b @ dg), float(mass.sum())
    step = min(1.0, LARGEST / float(max(np.abs(df).max(), np.abs(dg).max(), 1e-300)))
    while step > 1e-10:
        after = float(np.exp(step * df) @ (mass @ np.exp(step * dg)))
        if step * gain - (after - now) >= 1e-4 * step * slope - ROUND_OFF * now:
            return step
        step /= 2
    return 0.0


def _largest(mass: Floats, rows: Floats, columns: Floats, share: float) -> csr_array:
    """The entries that are above a share of the mean entry of their row or column."""
    kept = (mass > share * rows[:, None] / mass.shape[1]) | (mass > share * columns / mass.shape[0])
    i, j = np.nonzero(kept)
    return csr_array((mass[i, j], (i, j)), shape=mass.shape)


def _log_sums(values: Floats) -> Floats:
    """log sum exp of each row."""
    top = values.max(axis=1)
    sums: Floats = top + np.log(np.exp(values - top[:, None]).sum(axis=1))
    return sums


def _error(mass: Floats, a: Floats, b: Floats) -> float:
    return float(np.abs(mass.sum(axis=1) - a).sum() + np.abs(mass.sum(axis=0) - b).sum())
