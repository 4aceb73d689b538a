"""The page speed.md: ratios of speed, from the files in benchmarks/speed/results."""

from __future__ import annotations

from tables import MISSING, stored, table


def speed_page() -> str:
    """Return the page of ratios of speed."""
    files = stored("speed")
    rows = []
    for name, file in files.items():
        processor = file.get("machine", {}).get("processor") or MISSING
        threads = file.get("machine", {}).get("threads", MISSING)
        for label, ratio in file["ratios"].items():
            if "1 (a second)" in file["rates"]:  # a rate that is compared with a fixed limit
                label = f"{label.strip()} ({file['unit']})"
            rows.append((name, label, ratio_text(ratio), f"{ratio['goal']:.3g}", file["rounds"], processor, threads))
    rates = [
        (name, contender, f"{rate['median']:,.4g}", f"{rate['min']:,.4g} to {rate['max']:,.4g}", file["unit"])
        for name, file in files.items()
        for contender, rate in file["rates"].items()
    ]
    lines = [
        "# Speed",
        "",
        "This page is generated from the files in `benchmarks/speed/results`, which `make bench` writes. A ratio is",
        "the median over the rounds of one run, with the smallest and the largest ratio in brackets. In each round all",
        "contenders run in turn, so the ratios are comparable; the rates below depend on the machine and its load.",
        "A ratio between 0.87 and 1.15 cannot be distinguished from 1.",
        "",
        "On a CPU, float32 products are computed by oneDNN if it is exact there, which is measured once per process;",
        "for many sizes it is faster than the BLAS that PyTorch uses by default. On Intel processors with AMX, oneDNN",
        "would round float32 products to bfloat16, so the BLAS is used and these ratios are smaller; no other fast and",
        "exact method is known to us for them. `ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16` restricts oneDNN to instructions",
        "that AMD processors have as well; oneDNN is then used if it is exact. This was not measured with AMX.",
        "",
        "## Ratios",
        "",
        *table(("benchmark", "ratio", "median [min, max]", "goal", "rounds", "processor", "threads"), rows),
        "## Rates",
        "",
        *table(("benchmark", "contender", "median", "min to max", "unit"), rates),
    ]
    return "\n".join(lines).rstrip() + "\n"


def ratio_text(ratio: dict[str, float]) -> str:
    """Return `median [min, max]` to three digits.

    >>> ratio_text({"median": 1.3241, "min": 1.2025, "max": 1.4434})
    '1.32 [1.20, 1.44]'
    """

    def digits(x: float) -> str:
        return f"{x:.2f}" if x < 10 else f"{x:.1f}" if x < 100 else f"{x:.0f}"

    return f"{digits(ratio['median'])} [{digits(ratio['min'])}, {digits(ratio['max'])}]"
