"""Claim 19: six phases of a weight matrix's spectrum - can a program tell them apart, with stated error rates?"""

import jax
import jax.numpy as jnp
import numpy as np

import rmt
from rmt import inference, phases, plots, spikes
from rmt.claims import shape_of
from rmt.laws import PowerLaw
from rmt.phases import Phase

RECOGNISED = (0.8, 1.0)
ALARMS = (0.0, 4 * phases.LEVEL)  # two tests at that level, and a factor of two for their approximations
SIX = tuple(p for p in Phase if p is not Phase.UNDEFINED)
MODERATE, SHUFFLED = "Pareto, mu = 3", "spikes, shuffled"
ROWS = (*(p.label for p in SIX), MODERATE, SHUFFLED)
NOISES, RANKS = 20, 100
GAUSSIAN = rmt.IID(rmt.Gaussian())


def bleeding(N, M):
    """Five spikes placed 2 to 6 Tracy-Widom scales above the edge."""
    _, scale = rmt.johnstone(N, M)
    places = rmt.MarchenkoPastur(Q=N / M).lambda_plus + jnp.arange(2.0, 7.0) * scale / N
    return rmt.Spiked(GAUSSIAN, jnp.sqrt(spikes.outlier_inverse(places, N / M)))


def low_rank(key, N, M):
    """A Gaussian product of rank 0.7 M."""
    left, right = jax.random.split(key)
    return GAUSSIAN.sample(left, (N, 7 * M // 10)) @ GAUSSIAN.sample(right, (7 * M // 10, M))


def matrices(key, N, M):
    """One matrix of each of ROWS."""
    keys = jax.random.split(key, len(ROWS))
    spiked = rmt.Spiked(GAUSSIAN, jnp.array([2.0, 2.5, 3.0]) * spikes.spike_threshold(N / M))
    made = (GAUSSIAN, bleeding(N, M), spiked, rmt.Correlated(GAUSSIAN, PowerLaw(alpha=3.5)), rmt.IID(rmt.Pareto(1.5)))
    drawn = [ensemble.sample(keys[i], (N, M)) for i, ensemble in enumerate(made)]
    shuffle_key, spiked_key = jax.random.split(keys[7])
    shuffled = rmt.ensembles.Shuffled(spiked.sample(spiked_key, (N, M))).sample(shuffle_key, (N, M))
    moderate = rmt.IID(rmt.Pareto(3.0)).sample(keys[6], (N, M))
    return jnp.stack([*drawn, low_rank(keys[5], N, M), moderate, shuffled])


def measure(key, *, shape):
    N, M = shape_of(shape)
    key, noise_key = jax.random.split(key)

    def judged(W):
        s = rmt.spectrum(W)
        ranks = np.linspace(0, M - 1, RANKS).round().astype(int)  # all of them at M = 100
        e = phases.weigh(s)
        return e.phase, s.eigenvalues[ranks] / e.variance

    def alarm(k):
        return phases.phase(rmt.Wishart().spectrum(k, (N, M))) != Phase.RANDOM_LIKE

    found, eigenvalues = jax.lax.map(judged, matrices(key, N, M))
    alarms = jax.vmap(alarm)(jax.random.split(noise_key, NOISES))
    return {"phase": found, "eigenvalues": eigenvalues, "alarm": alarms * 1.0}


def named(ds, row, code, comparisons):
    """Share of the largest matrices of a row that are given this phase."""
    found = ds.phase.isel(shape=-1).values[:, ROWS.index(row)] == code
    return inference.proportion_interval(int(found.sum()), found.size, comparisons=comparisons)


def one(ds, statement, row, code, claimed, comparisons=1):
    sentence = f"{{percent:.0f}} % of these matrices, {ds['shape'].values[-1]}, are called {{at}}."
    return rmt.Verdict.of_all(statement, {code.label: named(ds, row, code, comparisons)}, claimed, sentence)


def noise(ds):
    shapes = ds["shape"].values
    rows = zip(shapes, ds.alarm.values.reshape(len(shapes), -1), strict=True)
    alarms = {at: inference.proportion_interval(int(x.sum()), x.size, comparisons=len(shapes)) for at, x in rows}
    sentence = (
        "{percent:.1f} % of Gaussian spectra of shape {at} are not called Random-like, the worst of {count} shapes; nominal is "
        f"{200 * phases.LEVEL:g} %."
    )
    return rmt.Verdict.of_all("Control: Gaussian noise is Random-like, at the nominal level", alarms, ALARMS, sentence)


def check(ds):
    six = {p.label: named(ds, p.label, p, len(SIX)) for p in SIX}
    least = f"Of the six, {{at}} is recognised least surely at {ds['shape'].values[-1]}: {{percent:.0f}} %."
    return [
        rmt.Verdict.of_all("Each of the six phases is recognised", six, RECOGNISED, least),
        *(one(ds, f"{p.label} is recognised", p.label, p, RECOGNISED, len(SIX)) for p in SIX),
        noise(ds),
        one(ds, "Control: spikes are gone once W is shuffled", SHUFFLED, Phase.RANDOM_LIKE, RECOGNISED),
        one(ds, "Entries of tail index 3 make the spectrum Heavy-tailed", MODERATE, Phase.HEAVY_TAILED, (0.5, 1.0)),
    ]


def figure(ds):
    fig, axes = plots.figure(4, 2, titles=[p.label for p in SIX], panel=(5.4, 2.6))
    N, M = shape_of(ds["shape"].values[0])
    law = rmt.MarchenkoPastur(Q=N / M)
    for i, ax in enumerate(axes.flat[: len(SIX)]):
        values, unit = ds.eigenvalues.isel(shape=0).values[:, i], "bulk variance"
        if SIX[i] is Phase.RANK_COLLAPSE:  # there the bulk is zero
            values, unit = values / values.mean(axis=1, keepdims=True), "their mean"
        plots.esd(ax, np.minimum(values, 10.0), law)
        ax.set(xlim=(-0.1, 10.1), ylim=(0, 0.8), xlabel=f"eigenvalue / {unit}, at most 10")
    for ax, at in zip(axes[3], (0, -1), strict=True):
        confusion(ax, ds.phase.isel(shape=at).values, ds["shape"].values[at])
    plots.legend(fig)
    return fig


def confusion(ax, found, shape):
    """Rows: what was made; columns: what it is called; numbers in per cent."""
    table = np.array([[100 * np.mean(found[:, row] == p) for p in SIX] for row in range(len(ROWS))])
    texts = np.where(table == 0, "", np.vectorize("{:.0f}".format)(table))
    plots.heat_map(ax, table, ROWS, [p.label for p in SIX], 100, texts)
    ax.set_title(f"called, in % of {len(found)}; {shape}", loc="left")


claim = rmt.Claim(
    name="phases",
    title="Six phases of training, told apart by their spectra",
    quote="Paraphrased: the spectra of layers fall into five phases and one, Random-like, Bleeding-out, Bulk+Spikes, Bulk-decay and "
    "Heavy-tailed, and Rank-collapse, which are told apart by their shapes.",
    source="Martin & Mahoney, JMLR 22(165) 2021, section 5; slides, 5+1 phases; the definitions tested are those of rmt.phases",
    criterion="Supported if, at the largest size, made matrices of each phase are given its name at least 80 % of the time "
    "(simultaneous 95 % intervals). Noise: supported if at most 4 % of Gaussian spectra are not called Random-like at any size, where "
    "two tests at level 1 % are applied. Shuffling: 80 % Random-like. Tail index 3: supported if more than half are Heavy-tailed.",
    sizes={
        "smoke": rmt.Size({"shape": ("200x100",)}, 10),
        "default": rmt.Size({"shape": ("200x100", "200x200", "400x200")}, 40),
        "paper": rmt.Size({"shape": ("200x100", "200x200", "1000x200", "400x200", "800x400")}, 100),
    },
    measure=measure,
    check=check,
    figure=figure,
    caption="Above: eigenvalues of matrices made to be in each phase, pooled over trials, beside the Marchenko-Pastur law; below: how "
    "often each is given which name, at the smallest and the largest size. Thresholds were fixed on other draws.",
)
